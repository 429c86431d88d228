"""What a model kept of what it could do before it was taught a task."""

from __future__ import annotations

from typing import ClassVar, get_args

from freehold.types.config.train import Skill
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


class RetainedSkills(StoredRecord, frozen=True, kw_only=True):
    """A trained model and its base, asked the same probes. `result` compares them, pair by pair."""

    kind: ClassVar[str] = "retained_skills"

    id: str
    base_model: str
    trained_id: str
    skills: tuple[SkillResult, ...]
    result: PairedResult
    left_out: tuple[Skill, ...] = ()
    """Skills that cannot be asked for: the endpoint offers no tools."""
    made_from: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """In one sentence."""
        parts = "; ".join(one.text for one in self.skills)
        return f"Next to its base, on probes of other skills (base → trained): {parts}."

    def check_result(self, must_keep: tuple[Skill, ...]) -> CheckResult:
        """What it says to a verdict: it holds where a skill that must be kept is lost, and informs otherwise."""
        broken = [one.skill for one in self.skills if one.lost and one.skill in must_keep]
        text = self.text + (f" Must be kept: {', '.join(broken)}." if broken else "")
        return CheckResult(kind="retained", ok=False if broken else None, text=text, record_id=self.id)
