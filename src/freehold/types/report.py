"""Everything one report tells, as one record: the page and its JSON are made from this and nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from freehold.types.choosing import CandidateChoice, RequestCost, SelectionResult
from freehold.types.dataset import Dataset
from freehold.types.encoder import EncoderModel
from freehold.types.evaluated import Disagreement, LatencySummary, Measured, Regressions, UntrainedBaseline
from freehold.types.evaluation import Comparison, Task, VerdictOutcome
from freehold.types.gates import ParityReport, RetainedSkills
from freehold.types.journey import Standing
from freehold.types.license import Ruling
from freehold.types.machine import Fit, Machine
from freehold.types.method import MethodName, candidate_label
from freehold.types.mixture import Mixture
from freehold.types.model import Weights
from freehold.types.record import Record, StoredRecord
from freehold.types.training import Adapter
from freehold.types.use import UseProfile
from freehold.types.verdict import SEVERITY, Verdict


class CandidateReport(Record, frozen=True, kw_only=True):
    """One candidate's way through the journey. Parts it never reached are None; `stopped` then says why."""

    model: str
    method: MethodName | None = None
    """How it was made; None where it was given as a model alone."""
    endpoint: str | None = None
    """The endpoint it ran behind; None where it ran here, or where the project's engine says it."""
    name: str | None = None
    """What tells it from others of the same model and method."""
    settings: dict[str, Any] = {}
    """What it says about its method beyond that."""
    selection: SelectionResult | None = None
    """What it did on the selection split; None where it was the only one, or was never made."""
    not_chosen: str | None = None
    """Why another was taken."""
    ruling: Ruling | None = None
    weights: Weights | None = None
    fit: Fit | None = None
    trained: Adapter | None = None
    encoder: EncoderModel | None = None
    """What training left, where there was any."""
    parity: ParityReport | None = None
    untrained: UntrainedBaseline | None = None
    measured: Measured | None = None
    comparison: Comparison | None = None
    mixture: Mixture | None = None
    """What it answers together with the incumbent; None where none was planned, or it was promoted alone."""
    verdict: Verdict | None = None
    latency: LatencySummary | None = None
    retained: RetainedSkills | None = None
    """What it kept of what its base could do; None where it was not asked."""
    disagreements: tuple[Disagreement, ...] = ()
    regressions: Regressions | None = None
    """Where it lost against the incumbent; None where there was none."""
    evaluation_id: str | None = None
    """The evaluation that measured it; None where none did."""
    served_as: str | None = None
    stopped: str | None = None

    @property
    def label(self) -> str:
        """What tells it from all others of its report."""
        if self.method is None:
            return self.model
        return candidate_label(self.model, self.method, self.endpoint, self.name)

    @property
    def outcome(self) -> VerdictOutcome | None:
        """The verdict's; None where there is none."""
        return None if self.verdict is None else self.verdict.outcome

    @property
    def proof(self) -> Comparison | None:
        """The comparison that the verdict is read from: the mixture's where that is what traffic may move to."""
        return self.mixture.comparison if self.is_mixture and self.mixture is not None else self.comparison

    @property
    def is_mixture(self) -> bool:
        """Whether the incumbent, or a larger model, answers a part where this is promoted."""
        return self.mixture is not None and self.mixture.is_proven

    @property
    def rest(self) -> float:
        """Share of the requests that the incumbent goes on answering where this is promoted."""
        mixture = self.mixture if self.is_mixture else None
        return 0.0 if mixture is None or mixture.upper is not None else 1 - (mixture.share or 0.0)

    @property
    def score(self) -> float | None:
        """The mean score of what `proof` compares, or of the candidate where nothing was compared."""
        if self.proof is not None:
            return self.proof.candidate_mean
        return self.measured.mean if self.measured is not None else None

    @property
    def cost(self) -> RequestCost | None:
        """What 1,000 requests cost that come to it: in a mixture also those that it passes on."""
        alone = None if self.selection is None else self.selection.cost
        if self.mixture is None or not self.is_mixture:
            return alone
        cost = self.mixture.cost
        usd = None if cost is None else cost.mixture_usd
        return RequestCost(
            usd_per_1000=usd,
            basis="unknown" if usd is None or alone is None else alone.basis,
            why="what the rest costs was not measured" if cost is None else "; ".join(cost.why),
        )


class StepTime(Record, frozen=True, kw_only=True):
    """How long one step took; `skipped` when its inputs had not changed."""

    name: str
    seconds: float
    skipped: bool = False


class Report(StoredRecord, frozen=True, kw_only=True):
    """The whole story of one migration."""

    kind: ClassVar[str] = "report"

    id: str
    app: str
    at: datetime
    version: str
    incumbent: str | None
    use: UseProfile
    task: Task
    machine: Machine | None
    dataset: Dataset
    candidates: tuple[CandidateReport, ...]
    choice: CandidateChoice | None = None
    """How one of several was chosen; None where there was one."""
    steps: tuple[StepTime, ...] = ()
    endpoint_url: str | None = None
    notes: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    """The data card in short: origins, what was replaced and left out, whose terms count."""
    facts: dict[str, Any] = {}
    standing: Standing | None = None
    """How things stood when the page was written; no part of what was measured."""
    is_shared: bool = False
    """Whether customers' words, and what else is not for other eyes, were left out."""

    @property
    def verdict(self) -> VerdictOutcome | None:
        """That of the candidate that the report is about; None where none was judged."""
        return None if self.lead is None else self.lead.outcome

    @property
    def promoted(self) -> bool:
        """Whether it passed."""
        return self.verdict == "promote"

    def summary(self) -> str:
        """Which candidate, and what came out."""
        return f"{'no candidate' if self.lead is None else self.lead.label}: {self.verdict or 'no verdict'}"

    @property
    def chosen(self) -> CandidateReport | None:
        """The candidate that was taken of several; None where there was one, or none could be made."""
        if self.choice is None:
            return None
        return next((one for one in self.candidates if one.label == self.choice.chosen), None)

    @property
    def lead(self) -> CandidateReport | None:
        """The candidate that the report is about: the chosen one; else promoted before held, rejected and stopped."""
        return self.chosen or min(
            self.candidates,
            key=lambda one: SEVERITY[one.verdict.outcome] if one.verdict is not None else 3,
            default=None,
        )
