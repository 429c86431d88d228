"""Whether a served model does what the trainer's model does."""

from __future__ import annotations

from typing import ClassVar, Literal

from freehold.types.dataset import Sample
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
    an answer to what was not taught (None: it was).
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
                f"served as trained: {self.token_agreement:.1%} of {self.tokens} values in {self.prompts} answers "
                f"agree, probabilities within {self.probability_distance:.4f}"
            )
            return CheckResult(kind="parity", ok=True, text=text, record_id=self.id)
        text = (
            f"served as trained: {self.prompts_equal} of {self.prompts} prompts have equal token ids, "
            f"{self.token_agreement:.1%} of {self.tokens} greedy tokens agree{self.undecided}"
            if self.passed
            else f"not served as trained: {'; '.join(self.reasons)}"
        )
        return CheckResult(kind="parity", ok=self.passed, text=text, record_id=self.id)
