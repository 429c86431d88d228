"""What a model kept of what it could do before it was taught a task: general skills, and the log's other tasks."""

from __future__ import annotations

from typing import ClassVar, get_args

from freehold.types.config.train import Keepable, Skill
from freehold.types.evaluation import PairedResult
from freehold.types.record import Record, StoredRecord
from freehold.types.verdict import CheckResult

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
