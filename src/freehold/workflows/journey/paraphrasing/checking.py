"""What a model wrote becomes training samples, or is left out with a reason. Pure.

Three looks: is it the list that was asked for, is it a message of its own (no near repeat of training, of what is held
out, or of another that was written), and does a second answer, which does not know what it was written for, give it the
same label.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from freehold.datasets.apart import Flags, KnownQuestions
from freehold.datasets.messages import blanked_text
from freehold.datasets.sampling import with_id
from freehold.datasets.writing import MADE_BY
from freehold.evals.json_text import NotJson, parse_json
from freehold.evals.normalizing import normalized_label
from freehold.types.dataset import Sample
from freehold.workflows.journey.harvest.parts import Ask, Asked, written_by
from freehold.workflows.journey.harvest.written import paraphrases_in, writer_of

AT_ONCE = 10
"""Messages that one question for labels holds."""
LONGEST, LONGER = 400, 3
"""Characters a message may have, or times as long as its source it may be."""
_SHOWN = 200

NO_ANSWER = "requests without an answer"
NOT_A_LIST = "not the list that was asked for"
TOO_LONG = "longer than a message of its kind"
HELD_OUT = "nearly the same as what is held out or chosen by"
REPEATED = "nearly the same as another"
OTHER_LABEL = "given another label by a second answer"
UNCHECKED = "without a second answer"
ENOUGH = "more than were asked for"

_LABEL = (
    "Messages are sorted into the classes below.{shown} Give the class of each numbered message. Answer with a JSON "
    "list of {count} class numbers only, in the messages' order.\n\n{classes}"
)


class Checker:
    """Keeps count of what is left out. `classes` are the training samples by class, `per_class` the most that are kept
    of each."""

    def __init__(
        self, classes: dict[str, list[Sample]], judged: Sequence[Sample], threshold: float, per_class: int
    ) -> None:
        self._classes, self._threshold, self._per_class = classes, threshold, per_class
        self._judged = KnownQuestions(judged, threshold)
        self._train = KnownQuestions([one for some in classes.values() for one in some], threshold)
        self.left_out: Counter[str] = Counter()
        self.written = 0
        self.kept: list[Sample] = []

    def candidates(self, answers: Sequence[tuple[Ask, str]]) -> list[Sample]:
        """Samples of what was written, as far as can be told without a second answer."""
        made: list[Sample] = []
        for ask, output in answers:
            texts = paraphrases_in(output)
            if not texts:
                self.left_out[NOT_A_LIST] += 1
                self.written += 1
            self.written += len(texts)
            made += self._made(ask, texts)
        made = self._without(made, HELD_OUT, self._judged.repeated_by(made))
        made = self._without(made, REPEATED, self._train.repeated_by(made))
        before = KnownQuestions(self.kept, self._threshold)
        made = self._without(made, REPEATED, before.repeated_by(made))
        return self._without(made, REPEATED, self._train.repeats_within(made))

    def take(self, samples: Sequence[Sample], labels: Sequence[str | None]) -> None:
        """Keep those whose second label is the one they were written for."""
        counts = Counter(normalized_label(one.target or "") for one in self.kept)
        for sample, label in zip(samples, labels, strict=True):
            wanted = normalized_label(sample.target or "")
            if label is None:
                self.left_out[UNCHECKED] += 1
            elif label != wanted:
                self.left_out[OTHER_LABEL] += 1
            elif counts[wanted] >= self._per_class:
                self.left_out[ENOUGH] += 1
            else:
                counts[wanted] += 1
                self.kept.append(sample)

    def _made(self, ask: Ask, texts: Sequence[str]) -> Iterator[Sample]:
        source = ask.sample
        assert source is not None
        said = blanked_text(source.messages[-1].content)
        for text in texts:
            if len(text) > max(LONGEST, LONGER * len(said)):
                self.left_out[TOO_LONG] += 1
                continue
            message = msgspec.structs.replace(source.messages[-1], content=text)
            yield with_id(
                msgspec.structs.replace(
                    source,
                    messages=(*source.messages[:-1], message),
                    teacher=None,
                    metadata={**source.metadata, MADE_BY: ask.model, "paraphrase_of": source.id},
                )
            )

    def _without(self, samples: Sequence[Sample], why: str, gone: Flags) -> list[Sample]:
        self.left_out[why] += int(gone.sum())
        self.left_out += Counter()  # no zeros
        return [one for one, is_gone in zip(samples, gone, strict=True) if not is_gone]


def label_asks(
    asked: Asked, classes: dict[str, list[Sample]], samples: Sequence[Sample]
) -> list[tuple[Ask, list[Sample]]]:
    """Questions for the labels of samples, a few of mixed classes in each, with the samples they are about.

    Classes are shown with a message each that none of these was written after: a copy would be told by its model.
    """
    mixed = sorted(samples, key=lambda one: hashlib.sha256(one.id.encode()).digest())
    model = writer_of(asked.model)
    found = []
    for start in range(0, len(mixed), AT_ONCE):
        some = mixed[start : start + AT_ONCE]
        sources = {one.metadata.get("paraphrase_of") for one in some}
        lines = []
        for number, known in enumerate(classes.values(), 1):
            example = next((one for one in known if one.id not in sources), None)
            shown = "" if example is None else f" (such as: {_text(example)})"
            lines.append(f"{number}. {known[0].target}{shown}")
        instruction = _LABEL.format(shown=_instruction(some[0]), count=len(some), classes="\n".join(lines))
        asked_text = "\n".join(f"{number}. {_text(one)}" for number, one in enumerate(some, 1))
        messages = [{"role": "system", "content": instruction}, {"role": "user", "content": asked_text}]
        about = str(some[0].metadata.get("paraphrase_of", ""))
        ask = written_by(asked, model, messages, about=about, max_tokens=20 + 8 * len(some), temperature=0.0)
        found.append((ask, some))
    return found


def labels_in(output: str, classes: Sequence[str], count: int) -> list[str | None]:
    """The labels in an answer to one of `label_asks`; None for each where it is not the list that was asked for."""
    try:
        told = parse_json(output, "anywhere")
    except NotJson:
        told = None
    if not isinstance(told, list) or len(told) != count:
        return [None] * count
    return [_class_of(one, classes) for one in told]


def _class_of(told: object, classes: Sequence[str]) -> str | None:
    if isinstance(told, str):
        named = normalized_label(told)
        if named in classes:
            return named
        told = int(told) if told.strip().isdecimal() and len(told.strip()) < 6 else None
    if isinstance(told, bool) or not isinstance(told, int) or not 1 <= told <= len(classes):
        return None
    return classes[told - 1]


def _instruction(sample: Sample) -> str:
    first = sample.messages[0]
    if len(sample.messages) < 2 or first.role not in ("system", "developer"):
        return ""
    return f" The application asks for them so:\n{blanked_text(first.content)[:2000]}\n"


def _text(sample: Sample) -> str:
    return " ".join(blanked_text(sample.messages[-1].content).split())[:_SHOWN]
