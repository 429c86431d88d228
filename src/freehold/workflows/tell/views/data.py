"""The screen Data: datasets, what is in one, its samples a page at a time, and labels in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from freehold.errors import FreeholdError, InputError, UsageError
from freehold.evals.slicing import question
from freehold.store import Store
from freehold.types.config import DEFAULT_MODEL
from freehold.types.dataset import DataCard, Dataset, Doubt, Message, Sample, SplitName
from freehold.types.notes import LabelReview
from freehold.types.planning.token_mask import TokenMasks
from freehold.types.record import Record
from freehold.visible import visible
from freehold.workflows.data.curate import read_card
from freehold.workflows.data.reviews import reviews
from freehold.workflows.data.sample_page import SamplePage, sample_page
from freehold.workflows.project import Project
from freehold.workflows.tell.views.proof.answers import ClippedText, clipped
from freehold.workflows.tell.views.query import Place, ScreenQuery
from freehold.workflows.train.doubts import SHOWN_TEXT, doubts
from freehold.workflows.train.token_masks import NO_MASK_BASE, mask_base, masks_here

MOST_DOUBTS = 50
FIRST_COMMAND = "freehold import traffic.jsonl"


class DataQuery(ScreenQuery, frozen=True, kw_only=True):
    """Which dataset (the beginning of its id; None: the latest), and which of its samples: those whose lines begin at
    `after`, a place in the split's file that the page before named. `shown` is what is shown of a sample: its words, or
    the tokens that are trained on."""

    dataset: Annotated[str, Meta(max_length=64)] | None = None
    split: SplitName = "train"
    after: Place = 0
    shown: Literal["words", "tokens"] = "words"


class DatasetLine(Record, frozen=True, kw_only=True):
    """A dataset in short. `derived` says that it was made of another for one candidate."""

    id: str
    name: str
    samples: dict[str, int]
    derived: bool


class SampleMessage(Record, frozen=True, kw_only=True):
    """A message of a sample. `learned`: a model that is trained on it learns to write it."""

    role: str
    text: ClippedText | None
    learned: bool


class ShownSample(Record, frozen=True, kw_only=True):
    """A sample as it is taught, and what the incumbent said where that is something else."""

    id: str
    messages: tuple[SampleMessage, ...]
    incumbent: ClippedText | None
    gold: bool
    group: str | None
    tools: int


class SamplesShown(Record, frozen=True, kw_only=True):
    """A page of samples; `next_after` asks for the page behind it, None at the end. `masks` are their tokens where they
    were asked for; without them `no_masks` says why, and `masks_command` is the way to some."""

    split: SplitName
    total: int
    samples: tuple[ShownSample, ...]
    next_after: int | None
    masks: TokenMasks | None = None
    no_masks: str | None = None
    masks_command: str | None = None


class ShownDoubt(Record, frozen=True, kw_only=True):
    """A label in doubt, and what was said of it since. `suggestion` is what a correction begins with: None where the
    text is cut, or holds what a page does not show, so that nothing is kept that was not seen."""

    doubt: Doubt
    review: LabelReview | None
    suggestion: str | None


class DoubtsShown(Record, frozen=True, kw_only=True):
    """Labels that a trained model kept finding unlikely. `why_none` says why there are none, and what gives some."""

    found: int
    rows: tuple[ShownDoubt, ...]
    adapter_id: str | None
    labels: bool
    why_none: str | None
    command: str | None


class DatasetDetail(Record, frozen=True, kw_only=True):
    """One dataset with its card; `reviewed` labels wait for the next build."""

    dataset: Dataset
    card: DataCard | None
    samples: SamplesShown | None
    samples_missing: str | None
    doubts: DoubtsShown
    reviewed: int


class DataScreen(Record, frozen=True, kw_only=True):
    """The whole screen. Without a dataset `detail` is None: `first_command` is what to do first."""

    app: str
    at: datetime
    traces: int
    datasets: tuple[DatasetLine, ...]
    detail: DatasetDetail | None
    command: str
    first_command: str


def data(project: Project, store: Store, query: DataQuery, *, at: datetime) -> DataScreen:
    """What there is to see. Raises `UsageError` for a dataset that is not there."""
    known = store.records(Dataset)
    traces = store.count_traces(complete_only=False)
    detail = None
    if known:
        detail = _detail(project, store, _chosen(store, known, query.dataset), query)
    return DataScreen(
        app=project.config.app.name,
        at=at,
        traces=traces,
        datasets=tuple(_line(one) for one in reversed(known)),
        detail=detail,
        command="freehold dataset card",
        first_command="freehold dataset build" if traces else FIRST_COMMAND,
    )


def _chosen(store: Store, known: Sequence[Dataset], wanted: str | None) -> Dataset:
    if wanted is None:
        built = [one for one in known if one.derived_from is None]
        return built[-1] if built else known[-1]
    matches = [
        one for one in known if one.id.startswith(wanted)
    ]  # never a folder: the address is a visitor's
    if len(matches) != 1:
        raise UsageError(
            f"{len(matches) or 'no'} datasets have an id that begins with {wanted}",
            hint="freehold dataset list shows them",
        )
    return matches[0]


def _line(one: Dataset) -> DatasetLine:
    return DatasetLine(
        id=one.id,
        name=one.name,
        samples={split.name: split.samples for split in one.splits},
        derived=one.derived_from is not None,
    )


def _detail(project: Project, store: Store, dataset: Dataset, query: DataQuery) -> DatasetDetail:
    said = reviews(store)
    samples, missing = None, None
    try:
        page = sample_page(dataset, query.split, query.after)
        samples = _shown(project, page, query.split)
        if query.shown == "tokens":
            samples = _with_masks(project, store, dataset, page, samples)
    except InputError as error:
        missing = f"{error.message} ({error.hint})" if error.hint else error.message
    return DatasetDetail(
        dataset=dataset,
        card=read_card(dataset),
        samples=samples,
        samples_missing=missing,
        doubts=_doubts(project, dataset, said),
        reviewed=sum(review.dataset_id == dataset.id for review in said.values()),
    )


def _shown(project: Project, page: SamplePage, split: SplitName) -> SamplesShown:
    train_on = project.config.train.train_on
    return SamplesShown(
        split=split,
        total=page.total,
        samples=tuple(shown_sample(one, train_on=train_on) for one in page.samples),
        next_after=page.next_after,
    )


def _with_masks(
    project: Project, store: Store, dataset: Dataset, page: SamplePage, shown: SamplesShown
) -> SamplesShown:
    """The same page with its samples as tokens, or with the reason why there are none."""
    try:
        base = mask_base(project, store)
        if base is None:
            raise UsageError(NO_MASK_BASE, hint=f"freehold dataset show --tokens 3 --model {DEFAULT_MODEL}")
        return msgspec.structs.replace(shown, masks=masks_here(project, base, dataset, page.samples))
    except FreeholdError as error:
        return msgspec.structs.replace(shown, no_masks=error.message, masks_command=error.hint)


def shown_sample(sample: Sample, *, train_on: str = "last") -> ShownSample:
    """A sample with each message marked as learned or not: a message's own weight decides, else the target is, and with
    `train_on` of ``all`` the earlier answers as well (`freehold train --preview` shows the tokens)."""
    answers = [*sample.messages, *sample.answer]
    last = len(answers) - 1
    target = sample.target
    return ShownSample(
        id=sample.id,
        messages=tuple(
            SampleMessage(
                role=message.role,
                text=clipped(_text(message)),
                learned=message.role == "assistant"
                and (
                    message.weight > 0 if message.weight is not None else train_on == "all" or place == last
                ),
            )
            for place, message in enumerate(answers)
        ),
        incumbent=clipped(sample.incumbent) if sample.incumbent != target else None,
        gold=sample.gold is not None,
        group=sample.group,
        tools=len(sample.tools or ()),
    )


def _text(message: Message) -> str:
    said = question(Sample(id="", messages=(message,)))
    calls = "" if not message.tool_calls else msgspec.json.encode(message.tool_calls).decode()
    return "\n".join(filter(None, (said, calls)))


def _doubts(project: Project, dataset: Dataset, said: dict[str, LabelReview]) -> DoubtsShown:
    try:
        found = doubts(project, most=MOST_DOUBTS)
    except FreeholdError as error:
        return _no_doubts(error.message, error.hint)
    if found.dataset_id != dataset.id:
        return _no_doubts("The model that was trained last learned from another dataset.", "freehold train")
    return DoubtsShown(
        found=found.found,
        rows=tuple(
            ShownDoubt(doubt=one, review=said.get(one.sample_id), suggestion=suggestion(one))
            for one in found.doubts
        ),
        adapter_id=found.adapter_id,
        labels=found.labels,
        why_none=None if found.doubts else "The trained model doubts none of its labels.",
        command=f"freehold dataset doubts {found.adapter_id[:12]}",
    )


def suggestion(doubt: Doubt) -> str | None:
    """The likeliest right answer, as it may stand in a field that is kept as it is."""
    text = doubt.answer if doubt.incumbent is None else doubt.incumbent
    return text if len(text) < SHOWN_TEXT and visible(text) == text else None


def _no_doubts(why: str, hint: str | None) -> DoubtsShown:
    return DoubtsShown(
        found=0, rows=(), adapter_id=None, labels=False, why_none=why, command=hint or "freehold train"
    )
