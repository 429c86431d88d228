"""What a build of the dataset would make of records that are not traces yet, and what it would leave out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from freehold.datasets.building import make_samples
from freehold.datasets.importing import Imported, PassedOver, RecordOutcome, RejectedRecord
from freehold.types.dataset import SPLITS
from freehold.types.progress import Progress
from freehold.types.record import Record
from freehold.types.trace import Trace
from freehold.workflows.data.curate import recipe_of
from freehold.workflows.project import Project

LOOKED_AT = 20_000
"""Records of a file that are looked at: a minute or less. Of a longer one the forecast is about these."""
FIRST = 5
"""Rejected records that are shown."""
_MOST_REASONS = 20
_AT = re.compile(r"\[\d+\]")


class Forecast(Record, frozen=True, kw_only=True):
    """What a dataset built of a file's records alone would hold.

    `records` were looked at, `whole` says whether these are all. `conversations` counts those of several steps.
    `left_out` says how many sound records would be in no split, by reason; `rejected` and `passed_over` how many are
    not even traces. Personal data is not looked for: that changes words, not counts.
    """

    records: int
    whole: bool
    train: int
    validation: int
    held_out: int
    conversations: int
    left_out: dict[str, int]
    rejected: dict[str, int]
    passed_over: dict[str, int]


class Looking:
    """Records on their way into a forecast: what is not a trace is counted, what is one goes on."""

    def __init__(self, progress: Progress) -> None:
        self.held: Counter[str] = Counter()
        self.first_rejects: list[RejectedRecord] = []
        self._progress = progress
        self._seen = self._traces = 0
        self._whole = True
        self._rejected: Counter[str] = Counter()
        self._passed: Counter[str] = Counter()

    def sound(self, found: Iterable[RecordOutcome]) -> Iterator[Imported]:
        """The records that are traces, of the first `LOOKED_AT`."""
        for one in found:
            if self._seen == LOOKED_AT:
                self._whole = False
                return
            self._seen += 1
            if self._seen % 1000 == 0:
                self._progress.update(self._seen, None, unit="records", note="looked at")
            if isinstance(one, Imported):
                self._traces += 1
                yield one
            elif isinstance(one, PassedOver):
                self._passed[one.reason] += 1
            else:
                if len(self.first_rejects) < FIRST:
                    self.first_rejects.append(one)
                # The place in a record is not a reason of its own, and there may be as many as records.
                reason = _AT.sub("[…]", one.reason)[:120]
                self._rejected[reason if len(self._rejected) < _MOST_REASONS else "other reasons"] += 1

    def pass_over(self, reason: str) -> None:
        """Count a record that `sound` gave as passed over."""
        self._traces -= 1
        self._passed[reason] += 1

    def forecast(self, project: Project, traces: Iterable[Trace]) -> Forecast:
        """Build of `traces`, which were made of what `sound` gave, and count."""
        curate = msgspec.structs.replace(project.config.curate, personal_data="off", secrets=False)
        traces = list(traces)  # how many decides how they are split
        recipe = recipe_of(project, curate, traces=len(traces))
        built = make_samples(traces, recipe)
        sizes = {name: len(built.by_split[name]) for name in SPLITS}
        groups = Counter(
            one.group for name in SPLITS for one in built.by_split[name] if one.group is not None
        )
        left_out = dict(built.dropped.most_common())
        if beyond := self._traces - sum(sizes.values()) - sum(left_out.values()):
            left_out["beyond [data] limit or held_out_limit"] = beyond
        return Forecast(
            records=self._seen,
            whole=self._whole,
            train=sizes["train"],
            validation=sizes["validation"],
            held_out=sizes["held_out"],
            conversations=sum(count > 1 for count in groups.values()),
            left_out=left_out,
            rejected=dict(self._rejected.most_common()),
            passed_over=dict(self._passed.most_common()),
        )
