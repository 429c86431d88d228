"""The answer of an encoder, as the application has it, cut into tokens with their probabilities. Pure.

One token is what one decision wrote: the label; each label of a list; each field of a JSON object, with the signs
before it (``{"intent": "track"`` and ``, "urgent": false}``). So the tokens join to the answer, the log-probability of
a token is that of the decision, and its alternatives are what else could stand there. Those of a list are labels left
out: each is a yes or no of its own, and their probabilities do not sum to one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from freehold.encoders.folder import Array
from freehold.encoders.pieces import edges_of, likeliest
from freehold.encoders.runner import EncodedText, Spans
from freehold.late import np
from freehold.types.encoder import EncoderManifest, FieldHead, as_copied, of_the_set

if TYPE_CHECKING:
    import numpy.typing as npt

LEAST_PROBABILITY = 1e-30
DECIMALS = 6
Probabilities: TypeAlias = "npt.NDArray[np.float64]"


class AnswerToken(NamedTuple):
    """A token, its log-probability (nats), and the likeliest texts in its place, itself among them."""

    text: str
    logprob: float
    likeliest: tuple[tuple[str, float], ...]


class EncoderAnswer(NamedTuple):
    """An answer. `probability` is that all of it is right: that of its least sure field (docs/benchmarks.md)."""

    tokens: tuple[AnswerToken, ...]
    probability: float

    @property
    def text(self) -> str:
        return "".join(token.text for token in self.tokens)


class FieldAnswer(NamedTuple):
    """What one head decided: the value, how likely it is, the alternatives, likeliest first."""

    value: Any
    probability: float
    others: tuple[tuple[Any, float], ...]


def answer(manifest: EncoderManifest, read: EncodedText, text: str, *, top: int = 0) -> EncoderAnswer:
    """The answer to `text`, which is without the prefix. `top` alternatives of each token are told."""
    decisions = [
        decide(field, logits, text, read.spans, top)
        for field, logits in zip(manifest.fields, read.logits, strict=True)
    ]
    probability = min(one.probability for one in decisions)
    if manifest.answer == "label":
        first = decisions[0]
        tokens: Sequence[AnswerToken] = (_token(first, [str(value) for value, _ in first.others], top),)
    elif manifest.answer == "labels":
        tokens = _list_tokens(manifest, read.logits[0], top)
    else:
        tokens = _object_tokens(manifest, decisions, top)
    return EncoderAnswer(tuple(tokens), probability)


def floored(logits: Array, outside: tuple[int, float] | None) -> Array:
    """Logits, those of a label for what is outside all others no lower than its least (`FieldHead.outside`)."""
    if outside is None:
        return logits
    place, least = outside
    raised = logits.copy()
    raised[..., place] = np.maximum(raised[..., place], least)
    return raised


def probabilities(field: FieldHead, logits: Array) -> Probabilities:
    """Calibrated probabilities of a field's labels: of kind ``one`` they sum to one, of kind ``several`` each is its
    own."""
    scaled = floored(logits, field.outside).astype(np.float64) / field.temperature
    if field.kind == "several":
        return np.asarray(1 / (1 + np.exp(-np.clip(scaled, -700, 700))))
    shifted = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def decide(field: FieldHead, logits: Array, text: str, spans: Spans, top: int = 0) -> FieldAnswer:
    """What a head makes of one text, whose tokens stand at `spans`, with `top` alternatives."""
    if field.kind == "copied":
        piece = likeliest(logits / field.temperature, text, edges_of(text, spans))
        none = (None, piece.none)
        if piece.text is None:
            return FieldAnswer(*none, (none,))
        some = (as_copied(piece.text, field.copied_as), piece.probability)
        return FieldAnswer(*some, (some, none))
    if field.kind == "found" and field.number is not None:
        value = field.number.find(text)
        sure = field.number.sure_none if value is None else field.number.sure
        return FieldAnswer(value, sure, ((value, sure),))
    shares = probabilities(field, logits)
    if field.kind == "several":
        return _several(field, shares, top)
    given = field.place(shares.tolist())
    best = np.argsort(-shares, kind="stable")[: max(1, top)]
    order = [given, *(at for at in best if at != given)][: max(1, top)]
    likeliest_first = tuple((field.labels[place], float(shares[place])) for place in order)
    return FieldAnswer(*likeliest_first[0], likeliest_first)


def _several(field: FieldHead, shares: Probabilities, top: int) -> FieldAnswer:
    """A list. Its alternatives differ in one label each, the least certain ones first."""
    given = shares >= _threshold(field)
    sure = np.where(given, shares, 1 - shares)
    joint = float(np.prod(sure))
    value = [label for label, is_given in zip(field.labels, given, strict=True) if is_given]
    others: list[tuple[Any, float]] = [(value, of_the_set(joint, field.joint))]
    for place in np.argsort(sure, kind="stable")[: max(0, top - 1)]:
        flipped = given.copy()
        flipped[place] = not flipped[place]
        other = [label for label, is_given in zip(field.labels, flipped, strict=True) if is_given]
        share = joint * float((1 - sure[place]) / max(sure[place], LEAST_PROBABILITY))
        others.append((other, of_the_set(share, field.joint)))
    return FieldAnswer(*others[0], tuple(others))


def _list_tokens(manifest: EncoderManifest, logits: Array, top: int) -> list[AnswerToken]:
    field = manifest.fields[0]
    shares = probabilities(field, logits)
    given = shares >= _threshold(field)
    order = np.argsort(-shares, kind="stable")
    left_out = [(field.labels[place], float(shares[place])) for place in order if not given[place]]
    chosen = [
        (label, float(share))
        for label, share, is_given in zip(field.labels, shares, given, strict=True)
        if is_given
    ]
    if not chosen:
        none = of_the_set(float(np.prod(1 - shares)), field.joint)
        others = [("[]", none), *((f"[{_json(label)}]", share) for label, share in left_out)]
        return [AnswerToken("[]", _log(none), _logs(others[:top]))]
    tokens = []
    for number, (label, share) in enumerate(chosen):
        before = "[" if number == 0 else manifest.separators[0]
        after = "]" if number == len(chosen) - 1 else ""
        others = [(f"{before}{_json(one)}{after}", p) for one, p in [(label, share), *left_out[: top - 1]]]
        tokens.append(AnswerToken(others[0][0], _log(share), _logs(others[:top])))
    return tokens


def _object_tokens(
    manifest: EncoderManifest, decisions: Sequence[FieldAnswer], top: int
) -> list[AnswerToken]:
    between, colon = manifest.separators
    tokens = []
    for number, (field, decision) in enumerate(zip(manifest.fields, decisions, strict=True)):
        before = f"{'{' if number == 0 else between}{_json(field.name)}{colon}"
        after = "}" if number == len(decisions) - 1 else ""
        texts = [f"{before}{_json(value, manifest)}{after}" for value, _ in decision.others]
        tokens.append(_token(decision, texts, top))
    return tokens


def _token(decision: FieldAnswer, texts: Sequence[str], top: int) -> AnswerToken:
    shares = [share for _, share in decision.others]
    return AnswerToken(
        texts[0], _log(decision.probability), _logs(list(zip(texts, shares, strict=True))[:top])
    )


def _threshold(field: FieldHead) -> float:
    return 0.5 if field.threshold is None else field.threshold


def _logs(shares: Sequence[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    return tuple((text, _log(share)) for text, share in shares)


def _log(share: float) -> float:
    return round(math.log(min(1.0, max(share, LEAST_PROBABILITY))), DECIMALS) + 0.0


def _json(value: Any, manifest: EncoderManifest | None = None) -> str:
    separators = manifest.separators if manifest is not None else None
    return json.dumps(value, ensure_ascii=False, separators=separators)
