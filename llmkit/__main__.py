"""`python -m llmkit`, and what `accelerate launch -m llmkit ...` starts."""

from llmkit.cli import main

if __name__ == "__main__":
    main()
