"""What was taken from the incumbent before it stops: answers with their log-probabilities, and the manifest."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

from freehold.types.dataset import SplitName, TeacherToken
from freehold.types.record import Record

HarvestPartName = Literal[
    "account", "held_out", "repeats", "train", "unlabelled", "rubric", "critiques", "paraphrases"
]
"""In the order they are taken: what a proof needs first, where a budget may end it early."""


class HarvestedAnswer(Record, frozen=True, kw_only=True):
    """The incumbent's answer to one sample of a dataset, with its log-probabilities where the model gives them."""

    sample_id: str
    split: SplitName
    model: str
    answer: str
    teacher: tuple[TeacherToken, ...] | None = None


class HarvestPart(Record, frozen=True, kw_only=True):
    """One part of a harvest. Dollars are at the list price, or at the one that `[incumbent] price` states.

    `requests` were to be asked when the harvest began, `kept` of them were answered before, and the `estimate_*` are of
    the others. `answered` is how many have an answer now; tokens and `spent_usd` count all runs. `not_taken` is why the
    part was left out or ended early; None where it is whole.
    """

    name: HarvestPartName
    model: str | None = None
    requests: int = 0
    kept: int = 0
    estimate_prompt_tokens: int = 0
    estimate_completion_tokens: int = 0
    estimate_usd: Decimal | None = None
    answered: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    spent_usd: Decimal = Decimal(0)
    not_taken: str | None = None
    notes: tuple[str, ...] = ()


class HarvestFile(Record, frozen=True, kw_only=True):
    """A file of the harvest: its path in the harvest's folder and what is in it. `records` are its lines, where a line
    is a record."""

    path: str
    what: str
    bytes: int
    sha256: str
    records: int | None = None


class HarvestTerms(Record, frozen=True, kw_only=True):
    """The ruling on training with the incumbent's answers, as it stood when they were taken."""

    outcome: str
    ruling_id: str
    reasons: tuple[str, ...]
    candidate: str


class Harvest(Record, frozen=True, kw_only=True):
    """The manifest, `harvest.json`. `spent_usd` counts all runs, and requests in flight at a kill at the most they can
    have cost. `stopped` is why it ended before everything was taken; None where nothing more was to be had."""

    version: int = 1
    at: datetime
    model: str
    base_url: str
    folder: str
    dataset_id: str
    budget_usd: Decimal | None
    spent_usd: Decimal
    repeats: int
    terms: HarvestTerms
    parts: tuple[HarvestPart, ...]
    files: tuple[HarvestFile, ...] = ()
    not_to_be_had: tuple[str, ...] = ()
    stopped: str | None = None

    def part(self, name: HarvestPartName) -> HarvestPart:
        return next(one for one in self.parts if one.name == name)

    @property
    def estimate_usd(self) -> Decimal | None:
        """What is still to be asked will cost about this; None where a price is not known."""
        costs = [one.estimate_usd for one in self.parts if one.requests > one.kept and one.not_taken is None]
        return None if None in costs else sum((one for one in costs if one is not None), Decimal(0))
