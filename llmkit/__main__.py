"""Run llmkit as `python -m llmkit`.

Launchers start this module: `accelerate launch -m llmkit ...`, `torchrun -m llmkit ...`.
"""

from llmkit.cli import main

if __name__ == "__main__":
    main()
