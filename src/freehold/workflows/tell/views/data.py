"""The screen Data: datasets, what is in one, and its samples a page at a time."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from freehold.errors import InputError
from freehold.evals.comparing import question
from freehold.store import Store
from freehold.types.dataset import DataCard, Dataset, Message, Sample, SplitName
from freehold.types.record import Record
from freehold.workflows.data.curate import read_card
from freehold.workflows.data.dataset import SamplePage, known_datasets, sample_page
from freehold.workflows.project import Project
from freehold.workflows.project_store import meant
from freehold.workflows.tell.views.proof_items import ClippedText, clipped
from freehold.workflows.tell.views.query import Place, ScreenQuery

FIRST_COMMAND = "freehold import traffic.jsonl"


class DataQuery(ScreenQuery, frozen=True, kw_only=True):
    """Which dataset (the beginning of its id; None: the latest), and which of its samples: those whose lines begin at
    `after`, a place in the split's file that the page before named."""

    dataset: Annotated[str, Meta(max_length=64)] | None = None
    split: SplitName = "train"
    after: Place = 0


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
    """A page of samples; `next_after` asks for the page behind it, None at the end."""

    split: SplitName
    total: int
    samples: tuple[ShownSample, ...]
    next_after: int | None


class DatasetDetail(Record, frozen=True, kw_only=True):
    """One dataset with its card."""

    dataset: Dataset
    card: DataCard | None
    samples: SamplesShown | None
    samples_missing: str | None


class DataScreen(Record, frozen=True, kw_only=True):
    """The whole screen. Without a dataset `detail` is None: `first_command` is what to do first."""

    app: str
    at: datetime
    traces: int
    datasets: tuple[Dataset, ...]
    detail: DatasetDetail | None
    command: str
    first_command: str


def data(project: Project, store: Store, query: DataQuery, *, at: datetime) -> DataScreen:
    """What there is to see. Raises `UsageError` for a dataset that is not there."""
    known = store.records(Dataset)
    traces = store.count_traces(complete_only=False)
    # Never a folder: the address is a visitor's.
    chosen = meant(known, query.dataset, "dataset", hint=known_datasets(known))
    return DataScreen(
        app=project.config.app.name,
        at=at,
        traces=traces,
        datasets=tuple(reversed(known)),
        detail=None if chosen is None else _detail(chosen, query),
        command="freehold dataset show",
        first_command="freehold dataset build" if traces else FIRST_COMMAND,
    )


def _detail(dataset: Dataset, query: DataQuery) -> DatasetDetail:
    samples, missing = None, None
    try:
        page = sample_page(dataset, query.split, query.after)
        samples = _shown(page, query.split)
    except InputError as error:
        missing = f"{error.message} ({error.hint})" if error.hint else error.message
    return DatasetDetail(
        dataset=dataset,
        card=read_card(dataset),
        samples=samples,
        samples_missing=missing,
    )


def _shown(page: SamplePage, split: SplitName) -> SamplesShown:
    return SamplesShown(
        split=split,
        total=page.total,
        samples=tuple(shown_sample(one) for one in page.samples),
        next_after=page.next_after,
    )


def shown_sample(sample: Sample) -> ShownSample:
    """A sample with each message marked as learned or not: a message's own weight decides, else the target is
    (`freehold train --preview` shows the tokens)."""
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
                and (message.weight > 0 if message.weight is not None else place == last),
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
