"""Examples on disk and in memory: written once, opened only unchanged, searched by words or by meaning.

A folder holds ``examples.jsonl``, ``index.json`` (its version, how examples are found, and by which encoder) and,
where an encoder finds them, ``vectors.npy``. The hash of an index is over all its files, and `open_index` compares it.
The index of words is made in memory: that takes a fraction of a second for 10,000 samples, and no file in a
library's own form has to be trusted.
"""

from __future__ import annotations

import functools
import hashlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from freehold import files
from freehold.encoders.folder import hashes, read_manifest, vector_files
from freehold.encoders.runner import SentenceVectors
from freehold.errors import EngineError, FreeholdError, InputError, MissingExtraError, StorageError
from freehold.late import np
from freehold.types.endpoint import Example, ExampleIndex, Retriever
from freehold.types.record import Record, content_id

if TYPE_CHECKING:
    import numpy.typing as npt


# Which texts share words with a question: BM25 (Robertson and Zaragoza 2009), computed by bm25s. Words are what
# Unicode calls word characters, in lower case. Scripts that put no spaces between words are cut into pairs of
# characters, as search engines do.

_SIGNS = r"\u0300-\u036f\u0900-\u0dff"
"""Vowel signs and accents, which Python does not count among word characters."""
_NO_SPACES = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[\w{_SIGNS}{_NO_SPACES}]+")
_UNSPACED = re.compile(rf"[{_NO_SPACES}]")


def words(text: str) -> list[str]:
    """The words of a text, in order."""
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        if _UNSPACED.search(word) is None:
            found.append(word)
        else:
            found.extend(word[place : place + 2] for place in range(max(1, len(word) - 1)))
    return found


class Bm25:
    """An index of texts in memory. Raises `MissingExtraError` without bm25s."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._index: Any = _bm25s().BM25()
        self._index.index([words(text) for text in texts], show_progress=False)
        self._count = len(texts)

    def scores(self, question: str) -> npt.NDArray[np.float32]:
        """How much each text says about the question; 0 where they share no word."""
        asked = [word for word in words(question) if word in self._index.vocab_dict]
        if not asked:
            return np.zeros(self._count, dtype=np.float32)
        return np.asarray(self._index.get_scores(asked), dtype=np.float32)


def require() -> None:
    """Raise `MissingExtraError` where the library is missing."""
    _bm25s()


def _bm25s() -> Any:
    try:
        import bm25s
    except ImportError:
        raise MissingExtraError("finding examples by their words", "examples") from None
    return bm25s


VERSION = 1
EXAMPLES, HEAD, VECTORS = "examples.jsonl", "index.json", "vectors.npy"
_AGAIN = "freehold migrate makes it again"


class UsedEncoder(Record, frozen=True, kw_only=True):
    """The encoder whose vectors an index holds, with the hashes of what decides them."""

    path: str
    files: dict[str, str]


class IndexHead(Record, frozen=True, kw_only=True):
    """``index.json``."""

    version: int
    retriever: Retriever
    samples: int
    encoder: UsedEncoder | None = None


class WrittenIndex(Record, frozen=True, kw_only=True):
    """An index that is on disk, not yet asked for a number of examples."""

    path: str
    sha256: str
    samples: int
    retriever: Retriever


class Nearness(Protocol):
    """What tells which of the examples are near a question."""

    def scores(self, question: str) -> npt.NDArray[np.float32]:
        """One number for each example, higher for nearer ones."""


class ExampleFinder:
    """An index in memory. Safe in several threads at once."""

    def __init__(self, examples: Sequence[Example], search: Nearness, *, quick: bool) -> None:
        self.examples = examples
        self.quick = quick
        """Whether a search is short enough for an event loop: well below 2 ms."""
        self._search = search

    def nearest(self, question: str, k: int) -> list[Example]:
        """The `k` nearest examples, the nearest first; of equally near ones those that were written first."""
        scores = self._search.scores(question)
        order = np.argsort(-scores, kind="stable") if k >= len(scores) else _first(scores, k)
        return [self.examples[place] for place in order[:k]]


def _first(scores: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.int64]:
    """The places of the `k` highest scores, without sorting all of them."""
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    above = np.flatnonzero(scores > least)
    level = np.flatnonzero(scores == least)[: k - len(above)]
    places = np.concatenate([above, level])
    return np.asarray(places[np.lexsort((places, -scores[places]))], dtype=np.int64)


class _ByMeaning:
    """Likeness of sentence vectors."""

    def __init__(self, vectors: npt.NDArray[np.float32], encoder: SentenceVectors) -> None:
        self._vectors, self._encoder = vectors, encoder

    def scores(self, question: str) -> npt.NDArray[np.float32]:
        return np.asarray(self._vectors @ self._encoder.of([question])[0], dtype=np.float32)


def write_index(examples: Sequence[Example], root: Path, *, encoder: Path | None = None) -> WrittenIndex:
    """Write an index into a folder of `root` that is named by its content; one that is there already is returned.

    With the folder of an `encoder` examples are found by meaning, else by words. Raises `StorageError` when the disk
    refuses or the encoder cannot be read.
    """
    if not examples:
        raise ValueError("an index holds at least one example")
    used = None if encoder is None else _used(encoder)
    retriever: Retriever = "bm25" if encoder is None else "encoder"
    head = IndexHead(version=VERSION, retriever=retriever, samples=len(examples), encoder=used)
    folder = root / content_id([head, examples])[:16]
    with files.writing(
        f"{root}: examples cannot be written", hint="free some space, then run the command again"
    ):
        if not (folder / HEAD).exists():
            root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(
                prefix=".partial-", dir=root, ignore_cleanup_errors=True
            ) as made:
                partial = Path(made) / "index"
                partial.mkdir()
                lines = b"".join(msgspec.json.encode(one) + b"\n" for one in examples)
                (partial / EXAMPLES).write_bytes(lines)
                if encoder is not None:
                    vectors = SentenceVectors(encoder).of([one.question for one in examples])
                    np.save(partial / VECTORS, vectors, allow_pickle=False)
                (partial / HEAD).write_bytes(msgspec.json.format(msgspec.json.encode(head)))
                if folder.exists():  # one without a head: its removal was cut off
                    shutil.rmtree(folder)
                partial.rename(folder)
    sha256 = _sha256(folder, retriever)
    return WrittenIndex(path=str(folder), sha256=sha256, samples=len(examples), retriever=retriever)


def open_index(index: ExampleIndex) -> ExampleFinder:
    """The index in memory; opened once in a process, as long as its files stay as they are.

    Raises `StorageError` where it is missing, damaged, of another version, or not the one it was, and
    `MissingExtraError` where a library is missing.
    """
    try:
        return _opened(index.path, index.sha256, state_of(index))
    except FreeholdError:
        _opened.cache_clear()  # what was removed from the disk is not kept in memory
        raise


def state_of(index: ExampleIndex) -> tuple[int, int, int] | None:
    """What changes when the examples on disk are changed or removed: in a `freehold forget`, for one. None: they are
    gone."""
    try:
        status = (Path(index.path) / EXAMPLES).stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def is_there(index: WrittenIndex | ExampleIndex) -> bool:
    """Whether the index is on disk as it was written."""
    try:
        return _sha256(Path(index.path), index.retriever) == index.sha256
    except OSError:
        return False


@functools.lru_cache(maxsize=8)
def _opened(path: str, sha256: str, _state: tuple[int, int, int] | None) -> ExampleFinder:
    folder = Path(path)
    try:
        head = msgspec.json.decode((folder / HEAD).read_bytes(), type=IndexHead)
        if head.version != VERSION:
            raise StorageError(
                f"{folder}: the index of examples is of version {head.version}, this freehold reads {VERSION}",
                hint=_AGAIN,
            )
        found = _sha256(folder, head.retriever)
        if found != sha256:
            raise StorageError(
                f"{folder}: the index of examples is not the one that was proven (sha256 {found[:12]}…, "
                f"expected {sha256[:12]}…)",
                hint=_AGAIN,
            )
        decoder = msgspec.json.Decoder(Example)
        examples = [decoder.decode(line) for line in (folder / EXAMPLES).read_bytes().splitlines()]
        if head.encoder is None:
            return ExampleFinder(examples, Bm25([one.question for one in examples]), quick=True)
        vectors = np.load(folder / VECTORS, allow_pickle=False)
        return ExampleFinder(examples, _ByMeaning(vectors, _same_encoder(head.encoder)), quick=False)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        raise StorageError(f"{folder}: the index of examples cannot be read: {what}", hint=_AGAIN) from None


def _used(encoder: Path) -> UsedEncoder:
    try:
        names = vector_files(encoder, read_manifest(encoder, answers=False))
        with files.reading(encoder):
            return UsedEncoder(path=str(encoder), files=hashes(encoder, names))
    except (InputError, EngineError) as error:
        raise StorageError(f"the encoder cannot be read: {error.message}") from None


def _same_encoder(used: UsedEncoder) -> SentenceVectors:
    folder = Path(used.path)
    if hashes(folder, tuple(used.files)) != used.files:
        raise StorageError(
            f"{folder}: the encoder is not the one that the examples were written with", hint=_AGAIN
        )
    return SentenceVectors(folder)


def _sha256(folder: Path, retriever: Retriever) -> str:
    names = (EXAMPLES, HEAD, VECTORS) if retriever == "encoder" else (EXAMPLES, HEAD)
    lines = [f"{name} {value}\n" for name, value in hashes(folder, names).items()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
