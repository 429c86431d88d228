"""Likeness of a request to training messages, as a signal: which messages, how they are found, and where they lie.

By meaning where an encoder was trained on the dataset, else by words. The index is one of `freehold.preparing`, in the
folder of examples: `freehold forget` knows it, and a gateway opens it only as it was proven.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from freehold.errors import UsageError
from freehold.preparing.index import open_index, write_index
from freehold.types.encoder import EncoderModel
from freehold.types.preparation import ExampleIndex
from freehold.workflows.journey.examples import gather
from freehold.workflows.journey.methods import Bench

MOST_MESSAGES = 20_000
"""Of more training messages, every second, third … is compared with: a gateway holds them in memory."""


class Nearest(NamedTuple):
    """An index of training messages, how near a text is to them, and whether it was there before."""

    messages: ExampleIndex
    score: Callable[[str], float]
    was_there: bool = True


def nearest_of(bench: Bench) -> Nearest:
    """The training messages of a bench's dataset, indexed.

    Raises `UsageError` where there are none, `StorageError`, and `MissingExtraError` where neither words nor an encoder
    can find them.
    """
    examples = gather(bench.dataset).examples
    if not examples:
        raise UsageError("no training sample is one question and one answer in plain text")
    examples = examples[:: -(-len(examples) // MOST_MESSAGES)]
    root = bench.project.state / "examples"
    before = {path.name for path in root.glob("*")} if root.is_dir() else set()
    written = write_index(examples, root, encoder=_encoder(bench))
    index = ExampleIndex(
        path=written.path,
        sha256=written.sha256,
        samples=written.samples,
        k=1,
        retriever=written.retriever,
    )
    return Nearest(index, open_index(index).score_text, Path(written.path).name in before)


def let_go(nearest: Nearest) -> None:
    """Remove an index that no rule needs. What was there before stays."""
    if not nearest.was_there:
        shutil.rmtree(nearest.messages.path, ignore_errors=True)


def _encoder(bench: Bench) -> Path | None:
    there = [
        Path(one.path)
        for one in bench.store.records(EncoderModel)
        if one.dataset_id == bench.dataset.id and one.manifest.runs_on == "onnx" and Path(one.path).is_dir()
    ]
    return there[-1] if there else None
