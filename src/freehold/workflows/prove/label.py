"""`freehold label`: a person says which of two answers is better, without knowing whose is whose."""

from __future__ import annotations

import os
import random
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from freehold import files
from freehold.errors import UsageError
from freehold.evals.comparing import question
from freehold.evals.judging import same_answer, told_answer
from freehold.evals.pairwise import HASTY_SECONDS, answers_key
from freehold.rows.reading import records
from freehold.store import open_store
from freehold.types.evaluated import Evaluation, ItemResult
from freehold.types.record import Record
from freehold.workflows.project import Project, now
from freehold.workflows.project_store import meant

Choice = Literal["left", "right", "equal", "skip"]
Winner = Literal["candidate", "incumbent", "tie"]


class Label(Record, frozen=True, kw_only=True):
    """One line of the labels file. `winner` is None for a skipped pair, `left` says whose answer stood on the left.

    `seconds` is how long the person took; equal answers are labelled equal without being shown (`shown` false).
    `answers` says which two answers it is about (`answers_key`).
    """

    id: str
    winner: Winner | None
    left: Literal["candidate", "incumbent"]
    at: datetime
    seconds: float = 0.0
    shown: bool = True
    answers: str


class BlindPair(NamedTuple):
    """What a person sees: no names, and sides at random."""

    id: str
    question: str
    reference: str | None
    left: str
    right: str


class LabelProgress(NamedTuple):
    """How far a session has come. `seconds_each` is None before anything was labelled."""

    labelled: int
    wanted: int
    seconds_each: float | None


class LabelState(Record, frozen=True, kw_only=True):
    """Where labels stand: `labelled` of `wanted` pairs, equal answers included.

    `median_seconds` is of the labels whose pair was shown (None: there are none); `hasty` where that is too little to
    read two answers.
    """

    path: str
    labelled: int
    wanted: int
    median_seconds: float | None
    hasty: bool


class LabelSession:
    """Pairs in random order; each label is on disk before the next pair is shown, so any stop can be resumed.

    Which pairs come, in which order and on which side follow from `seed` alone. The pairs are a simple random
    sample of all, as the calibration of a judge requires. Another session may write the same file, in a terminal or on
    a page: its labels are taken in before a pair is shown or a label is taken back. A pair whose label is of other
    answers comes again.
    """

    def __init__(
        self,
        items: Sequence[ItemResult],
        path: Path,
        *,
        wanted: int,
        seed: int = 0,
        clock: Callable[[], datetime] = now,
    ) -> None:
        both = [
            item for item in items if item.incumbent.output is not None and item.candidate.output is not None
        ]
        if not both:
            raise UsageError("no sample has answers of both models", hint="freehold evaluate makes some")
        chance = random.Random(seed)
        self._items = chance.sample(both, len(both))[:wanted]
        self._candidate_left = {item.sample.id: chance.random() < 0.5 for item in self._items}
        self._path = path
        self._clock = clock
        self._seen_file: tuple[int, int] | None = None
        self._labels: dict[str, Label] = {}
        self._take_in()
        self._shown_at: datetime | None = None
        self._taken: list[str] = []
        for item in self._items:
            if self._label(item) is None and same_answer(item.candidate.output, item.incumbent.output):
                self._write(item, "tie", shown=False, seconds=0.0)

    @property
    def progress(self) -> LabelProgress:
        """Counts over the pairs of this session."""
        done = [label for item in self._items if (label := self._label(item)) is not None]
        timed = [label.seconds for label in done if label.shown and label.seconds > 0]
        return LabelProgress(len(done), len(self._items), sum(timed) / len(timed) if timed else None)

    @property
    def current_id(self) -> str | None:
        """The sample whose pair comes next, or is shown; None when all are labelled."""
        self._take_in()
        item = self._current()
        return None if item is None else item.sample.id

    def next(self) -> BlindPair | None:
        """The next pair to label, None when all are."""
        self._take_in()
        item = self._current()
        if item is None:
            return None
        self._shown_at = self._clock()
        candidate, incumbent = item.candidate.output or "", item.incumbent.output or ""
        left_is_candidate = self._candidate_left[item.sample.id]
        left, right = (candidate, incumbent) if left_is_candidate else (incumbent, candidate)
        told = told_answer(item.sample, candidate, incumbent)
        return BlindPair(item.sample.id, question(item.sample), told, left, right)

    def record(self, choice: Choice) -> None:
        """Label the pair that is shown."""
        item = self._current()
        if item is None:
            raise UsageError("every pair is labelled")
        candidate_left = self._candidate_left[item.sample.id]
        winners: dict[Choice, Winner | None] = {
            "left": "candidate" if candidate_left else "incumbent",
            "right": "incumbent" if candidate_left else "candidate",
            "equal": "tie",
            "skip": None,
        }
        took = (self._clock() - self._shown_at).total_seconds() if self._shown_at else 0.0
        self._write(item, winners[choice], shown=True, seconds=took)
        self._taken.append(item.sample.id)

    @property
    def state(self) -> LabelState:
        """Where the labels of this session's pairs stand, earlier ones included."""
        median = self._median([item.sample.id for item in self._items])
        return LabelState(
            path=str(self._path),
            labelled=self.progress.labelled,
            wanted=len(self._items),
            median_seconds=median,
            hasty=median is not None and median < HASTY_SECONDS,
        )

    def _median(self, ids: Sequence[str]) -> float | None:
        took = [self._labels[id].seconds for id in ids if id in self._labels and self._labels[id].shown]
        return round(statistics.median(took), 2) if took else None

    def undo(self) -> bool:
        """Take the last shown label back, of this session where there is one, so that its pair comes next; False when
        there is none."""
        self._take_in()
        session_ids = {item.sample.id for item in self._items}
        shown = [id for id, label in self._labels.items() if label.shown and id in session_ids]
        last = next((id for id in reversed(self._taken) if id in self._labels), shown[-1] if shown else None)
        if last is None:
            return False
        del self._labels[last]
        self._taken = [id for id in self._taken if id != last]
        self._items.sort(key=lambda item: item.sample.id != last)
        self._rewrite()
        return True

    def _current(self) -> ItemResult | None:
        return next((item for item in self._items if self._label(item) is None), None)

    def _label(self, item: ItemResult) -> Label | None:
        """The label of a pair; None where there is none, or one of other answers."""
        label = self._labels.get(item.sample.id)
        return None if label is None or label.answers != _key(item) else label

    def _take_in(self) -> None:
        """The labels that the file holds now."""
        found = _stamp(self._path)
        if found != self._seen_file:
            self._labels, self._seen_file = _read(self._path), found

    def _rewrite(self) -> None:
        with _writing(self._path):
            files.write(
                self._path, b"".join(msgspec.json.encode(label) + b"\n" for label in self._labels.values())
            )
        self._seen_file = _stamp(self._path)

    def _write(self, item: ItemResult, winner: Winner | None, *, shown: bool, seconds: float) -> None:
        label = Label(
            id=item.sample.id,
            winner=winner,
            left="candidate" if self._candidate_left[item.sample.id] else "incumbent",
            at=self._clock(),
            seconds=round(seconds, 2),
            shown=shown,
            answers=_key(item),
        )
        with _writing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode(label) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        self._labels[label.id] = label


def _key(item: ItemResult) -> str:
    return answers_key(item.candidate.output, item.incumbent.output)


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file does; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def open_session(
    project: Project,
    *,
    evaluation_id: str | None = None,
    wanted: int = 100,
) -> tuple[LabelSession, Path]:
    """A session over an evaluation's answers and its labels file: the latest evaluation, or the one whose id
    starts with `evaluation_id`.

    Raises `UsageError` when there is no such evaluation, `InputError` for a results file that can't be read.
    """
    with open_store(project.store_url) as store:
        hint = "freehold evaluate makes one"
        chosen = meant(store.records(Evaluation), evaluation_id, "evaluation", hint=hint)
    if chosen is None or chosen.results_file is None:
        raise UsageError("no evaluation yet", hint=hint)
    path = project.state / "labels" / f"labels-{chosen.id[:12]}.jsonl"
    return LabelSession(read_results(Path(chosen.results_file)), path, wanted=wanted), path


def read_results(path: Path) -> list[ItemResult]:
    """The items of an evaluation's results file. Raises `InputError`."""
    lines = records(path, ItemResult, "a result", container="json lines", hint="freehold evaluate")
    return [item for _, item in lines]


def _read(path: Path) -> dict[str, Label]:
    if not path.exists():
        return {}
    hint = "correct or remove the line"
    return {
        label.id: label for _, label in records(path, Label, "a label", container="json lines", hint=hint)
    }


def _writing(path: Path) -> AbstractContextManager[None]:
    return files.writing(
        f"{path}: labels cannot be written", hint="free some space, or give --out another file"
    )
