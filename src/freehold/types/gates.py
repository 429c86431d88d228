"""What is asked of a candidate besides quality: that runtimes agree, and that skills are retained."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, get_args

from freehold.types.config import Keepable, Skill
from freehold.types.dataset import Sample
from freehold.types.evaluation import PairedResult
from freehold.types.record import Record, StoredRecord
from freehold.types.verdict import CheckResult

Ends = Literal["enough", "too few", "undecided"]
Cause = Literal["template", "bos", "stop", "adapter_not_applied", "adapter_scale", "numbers", "score"]


class ParityItem(Record, frozen=True, kw_only=True):
    """One prompt through both. `difference_at` is where the prompts' token ids part (None: equal).

    `agreeing` of `tokens` answer tokens are the trainer's most likely ones too, given what came before.
    Distances are means of the absolute difference in log-probability (nats) of the served tokens: with the
    adapter on the trainer's side, and without it. `stops` says whether the trainer's model would have ended
    where the served one did (None: the served one was cut by the limit). `silent`: both said nothing at all;
    `wants_call`: a tool call was the wanted answer.
    """

    sample_id: str
    prompt_tokens: int
    difference_at: int | None
    trainer_token: str | None = None
    served_token: str | None = None
    tokens: int
    agreeing: int
    distance: float | None
    base_distance: float | None = None
    stops: bool | None = None
    silent: bool = False
    wants_call: bool = False


class ScoreParity(Record, frozen=True, kw_only=True):
    """The task's score of the same prompts, answered by the trainer's model and by the served one, both greedily.

    `difference` is served minus trained, with its interval at `level` (`method`); None where too few were scored.
    """

    n: int
    trained_mean: float | None
    served_mean: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    level: float
    method: str


class EncoderReference(Record, frozen=True, kw_only=True):
    """What a trained encoder answers to one sample where it is trained, in PyTorch.

    `tokens` of the message were read; `probability` is that of the whole answer; `right` is the trainer's judgement of
    an answer to a validation sample (None: of another).
    """

    sample: Sample
    tokens: int
    answer: str
    probability: float
    right: bool | None = None


class ParityReport(StoredRecord, frozen=True, kw_only=True):
    """All prompts of one check. `token_agreement` and `distance` are over all answer tokens."""

    kind: ClassVar[str] = "parity"

    id: str
    at: str
    version: str
    model: str
    adapter_id: str | None
    engine: str
    passed: bool
    causes: tuple[Cause, ...]
    reasons: tuple[str, ...]
    prompts: int
    prompts_equal: int
    tokens: int
    token_agreement: float
    distance: float | None
    base_distance: float | None
    stops: int
    stops_equal: int
    ends: Ends | None = None
    """Whether enough turns end where the trainer's model would end them; None where nothing ends."""
    score: ScoreParity | None = None
    """None where the prompts have no reference to score against."""
    probability_distance: float | None = None
    """Of an encoder: the largest difference of the probability of one answer, served and trained. Its tokens are its
    fields; what concerns generated text (distances in nats, ends) is empty."""
    items: tuple[ParityItem, ...]
    made_from: tuple[str, ...] = ()

    @property
    def undecided(self) -> str:
        """What could not be decided, to be put behind a sentence; empty where all was."""
        if self.ends != "undecided":
            return ""
        ended = f"{self.stops_equal} of {self.stops} ends are equal" if self.stops else "no answer ended"
        return f"; where turns end is not decided ({ended})"

    def check_result(self) -> CheckResult:
        """What the verdict is told."""
        if self.probability_distance is not None and self.passed:
            text = (
                f"the served model gave the same {self.prompts_equal} of {self.prompts} answers as the trained one; "
                f"probabilities differ by at most {math.ceil(round(1e4 * self.probability_distance, 6)) / 1e4:.4f}"
            )
            return CheckResult(kind="parity", ok=True, text=text, record_id=self.id)
        text = (
            f"the served model answers as the trained one: {self.prompts_equal} of {self.prompts} prompts have "
            f"equal token ids, {self.token_agreement:.1%} of {self.tokens} greedy tokens agree{self.undecided}"
            if self.passed
            else f"the served model does not answer as the trained one: {'; '.join(self.reasons)}"
        )
        return CheckResult(kind="parity", ok=self.passed, text=text, record_id=self.id)


SKILLS: tuple[Skill, ...] = get_args(Skill)


class SkillResult(Record, frozen=True, kw_only=True):
    """One skill: how many of `n` probes the base and the trained model answered as they should."""

    skill: Skill
    n: int
    base_right: int
    trained_right: int
    lost: bool
    """Whether the trained model is shown to be worse by more than the margin (paired, adjusted for all skills)."""

    @property
    def text(self) -> str:
        """In one line: ``refusal 18 → 3 of 20 (lost)``."""
        return f"{self.skill} {self.base_right} → {self.trained_right} of {self.n}" + (
            " (lost)" if self.lost else ""
        )


class TaskResult(Record, frozen=True, kw_only=True):
    """Another task of the log: the mean scores of `n` of its requests, from 0 to 1, against the recorded answers."""

    name: str
    scorer: str
    n: int
    base_score: float
    trained_score: float
    lost: bool
    """Whether the trained model is shown to be worse by more than the margin (paired, adjusted for all tasks)."""

    @property
    def text(self) -> str:
        """In one line: ``sort-mail 62 % → 10 % of 20 (lost)``."""
        return f"{self.name} {self.base_score:.0%} → {self.trained_score:.0%} of {self.n}" + (
            " (lost)" if self.lost else ""
        )


class RetainedSkills(StoredRecord, frozen=True, kw_only=True):
    """A trained model and its base, asked the same probes. `result` compares them, pair by pair.

    So does `tasks_result` on requests of the log's other tasks, None where none were asked.
    """

    kind: ClassVar[str] = "retained_skills"

    id: str
    base_model: str
    trained_id: str
    skills: tuple[SkillResult, ...]
    result: PairedResult
    left_out: tuple[Skill, ...] = ()
    """Skills that cannot be asked for: the endpoint offers no tools."""
    tasks: tuple[TaskResult, ...] = ()
    tasks_result: PairedResult | None = None
    notes: tuple[str, ...] = ()
    """Which of the log's other tasks were not asked for, and why."""
    made_from: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """In one sentence, or two where other tasks of the log were asked for."""
        parts = "; ".join(one.text for one in self.skills)
        told = f"Next to its base, on probes of other skills (base → trained): {parts}." if parts else ""
        if not self.tasks:
            return told
        others = "; ".join(one.text for one in self.tasks)
        return f"{told} On other tasks of the log, scored against the recorded answers: {others}.".strip()

    def check_result(self, must_keep: tuple[Keepable, ...]) -> CheckResult:
        """What it says to a verdict: it holds where what must be kept is lost, and informs otherwise."""
        broken: list[str] = [one.skill for one in self.skills if one.lost and one.skill in must_keep]
        if "other_tasks" in must_keep:
            broken += [one.name for one in self.tasks if one.lost]
        text = self.text + (f" Must be kept: {', '.join(broken)}." if broken else "")
        return CheckResult(kind="retained", ok=False if broken else None, text=text, record_id=self.id)
