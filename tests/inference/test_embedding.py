"""An embedder opens any model folder and embeds a list of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmkit.base.errors import ModelError
from llmkit.base.progress import SILENT
from llmkit.engine import session as sessions
from llmkit.inference.embedding import open_embedder, vectors


def ignore(done: int, total: int) -> None: ...


def test_max_length_is_what_the_positions_reach(tiny_bert: Path) -> None:
    embedder = open_embedder(str(tiny_bert), SILENT)
    assert embedder.max_length == 64


def test_vectors_have_length_one_and_blank_texts_are_nan(tiny_bert: Path) -> None:
    embedder = open_embedder(str(tiny_bert), SILENT)
    texts = ["a good film", " ", "good " * 80]
    with sessions.start(seed=0, precision="fp32") as session:
        found, cut = vectors(session, embedder, texts, ignore)
        nothing, none_cut = vectors(session, embedder, ["", "\t"], ignore)
    assert found.shape == (3, 32)
    assert np.linalg.norm(found[[0, 2]], axis=1) == pytest.approx(1, abs=1e-6)
    assert np.isnan(found[1]).all()
    assert cut == 1
    assert np.isnan(nothing).all()
    assert none_cut == 0


def test_an_unfinished_run_can_not_be_opened(unfinished: Any) -> None:
    with pytest.raises(ModelError, match="R05"):
        open_embedder(str(unfinished), SILENT)
