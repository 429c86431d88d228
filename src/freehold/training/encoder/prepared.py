"""Samples as an encoder learns them: a text to read and the value of each field."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from freehold.errors import UsageError
from freehold.training.encoder.answers import TaughtForm, Value, form_of, targets_of, untaught
from freehold.training.encoder.job import EncoderJob
from freehold.training.job import read_samples
from freehold.types.dataset import Dataset, Message, Sample
from freehold.types.encoder import VIEWS, View, lines_of, texts_of

MOST_SYSTEM_LINES = 200
"""Constant lines of the system prompt that are told from others."""


class Examples(NamedTuple):
    """Texts without prefix, and the fields' values beside them. A value that was never taught is kept: it counts as
    wrong. `context` are each one's texts of the further views, `samples` what they were made from."""

    texts: Sequence[str]
    values: Sequence[tuple[Value, ...]]
    context: Sequence[tuple[str, ...]] = ()
    samples: Sequence[Sample] = ()

    def __len__(self) -> int:
        return len(self.texts)

    def at(self, places: Iterable[int]) -> Examples:
        """Some of them."""
        chosen = [int(place) for place in places]
        columns: Iterable[Any] = self
        return Examples(*([column[place] for place in chosen] if column else () for column in columns))

    def with_others(self, others: Examples) -> Examples:
        """These and after them others."""
        pairs: Iterable[Any] = zip(self, others, strict=True)
        return Examples(*([*one, *other] for one, other in pairs))


class TaughtData(NamedTuple):
    """What is learned from a dataset. `system_lines` and `question` as in `EncoderManifest`; `views` are those that
    hold something."""

    form: TaughtForm
    train: Examples
    validation: Examples
    system_lines: tuple[str, ...] | None
    question: bool
    warnings: tuple[str, ...]
    views: tuple[View, ...] = ("last",)


def prepare(dataset: Dataset, *, copies: bool = True, without: Collection[str] = ()) -> TaughtData:
    """Read train and validation splits, the former `without` some samples (by id); `copies` as in `form_of`. Raises
    `UsageError` where answers are none that an encoder can give, and `InputError` for files that cannot be read."""
    train = [one for one in read_samples(dataset, "train") if _is_taught(one) and one.id not in without]
    validation = [sample for sample in read_samples(dataset, "validation") if _is_taught(sample)]
    if not train:
        raise UsageError(
            f"dataset {dataset.name} has no training sample with an answer",
            hint="freehold dataset says where answers come from",
        )
    calls = sum(1 for sample in train if any(message.tool_calls for message in sample.answer))
    if calls:
        raise UsageError(
            f"{calls:,} of {len(train):,} training answers call tools: an encoder cannot",
            hint='a model that writes its answers can: method = "lora"',
        )
    constant = _constant_lines(sample.messages for sample in train)

    answers = [sample.target or "" for sample in train]
    # Where values are copied, what was asked is read too: it says whose value a bare number is, and may hold it.
    turns = any(message.role == "assistant" for sample in train for message in sample.messages)
    for question in (True, False) if turns else (False,):
        read_train, read_validation = (
            [texts_of(one.messages, VIEWS, system_lines=constant, question=question) for one in split]
            for split in (train, validation)
        )
        texts = [one[0] for one in read_train]
        form = form_of(answers, texts, copies=copies)
        if form.copies:
            break
    views = tuple(view for at, view in enumerate(VIEWS) if at == 0 or any(one[at] for one in read_train))
    warnings = list(form.warnings)
    if constant is not None:
        warnings.append(
            "system prompts differ from sample to sample: their lines that are not the same in all are read as well"
        )
    empty = sum(not text for text in texts)
    if empty:
        warnings.append(f"{empty:,} training samples have no text of a user: nothing tells them apart")
    checked = [sample.target or "" for sample in validation]
    if missing := untaught(form, checked):
        shown = ", ".join(list(missing)[:5])
        warnings.append(
            f"{len(missing):,} labels of the validation split are never taught ({sum(missing.values()):,} samples, "
            f"counted as wrong): {shown}"
        )
    return TaughtData(
        form=form,
        train=_examples(form, read_train, train, views),
        validation=_examples(form, read_validation, validation, views),
        system_lines=constant,
        question=question,
        warnings=tuple(warnings),
        views=views,
    )


def check(job: EncoderJob) -> None:
    """Raise what `prepare` raises, before a process is started."""
    prepare(job.dataset, copies=job.copies)


def _is_taught(sample: Sample) -> bool:
    return sample.target is not None and not sample.disliked


def _examples(
    form: TaughtForm, texts: Sequence[tuple[str, ...]], samples: Sequence[Sample], views: Sequence[View]
) -> Examples:
    kept = [(one, value, sample) for one, sample in zip(texts, samples, strict=True)
            if (value := targets_of(form, sample.target or "")) is not None]  # fmt: skip
    further = [VIEWS.index(view) for view in views[1:]]
    return Examples(
        [one[0] for one, _, _ in kept],
        [value for _, value, _ in kept],
        [tuple(one[at] for at in further) for one, _, _ in kept],
        [sample for _, _, sample in kept],
    )


def _constant_lines(conversations: Iterable[Sequence[Message]]) -> tuple[str, ...] | None:
    """Lines that each system prompt has; None where all are the same, so that nothing of them need be read."""
    common: dict[str, None] | None = None
    seen: set[str] = set()
    for messages in conversations:
        system = "\n".join(
            message.content for message in messages
            if message.role in ("system", "developer") and isinstance(message.content, str)
        )  # fmt: skip
        if system in seen:
            continue
        seen.add(system)
        lines = dict.fromkeys(lines_of(system))
        common = lines if common is None else {line: None for line in common if line in lines}
    if len(seen) < 2 or common is None:
        return None
    return tuple(common)[:MOST_SYSTEM_LINES]
