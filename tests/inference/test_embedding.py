"""Open a model for embedding, and embed a list of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmkit.base.errors import ModelError
from llmkit.base.progress import SILENT
from llmkit.engine import session as sessions
from llmkit.inference.embedding import embed_texts, open_embedder


def ignore(done: int, total: int) -> None: ...


def test_max_length_is_limited_by_the_positions(tiny_bert: Path) -> None:
    embedder = open_embedder(str(tiny_bert), SILENT)
    assert embedder.max_length == 64


def test_embeddings_have_length_one_and_nan_for_blank_texts(tiny_bert: Path) -> None:
    embedder = open_embedder(str(tiny_bert), SILENT)
    texts = ["a good film", " ", "good " * 80]
    with sessions.start(seed=0, precision="fp32") as session:
        embeddings, truncated = embed_texts(session, embedder, texts, ignore)
        blank, blank_truncated = embed_texts(session, embedder, ["", "\t"], ignore)
    assert embeddings.shape == (3, 32)
    assert np.linalg.norm(embeddings[[0, 2]], axis=1) == pytest.approx(1, abs=1e-6)
    assert np.isnan(embeddings[1]).all()
    assert truncated == 1
    assert np.isnan(blank).all()
    assert blank_truncated == 0


def test_unfinished_run_is_an_error(unfinished: Any) -> None:
    with pytest.raises(ModelError, match="R05"):
        open_embedder(str(unfinished), SILENT)
