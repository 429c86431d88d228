"""What a scorer gets, the boundary every scorer keeps, and how its options are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, runtime_checkable

import msgspec

from freehold.types import record
from freehold.types.dataset import Sample
from freehold.types.deferral import SignalName
from freehold.types.evaluation import EvalResult, Score
from freehold.types.record import Record
from freehold.types.trace import Usage

Fault = Literal["candidate", "infrastructure"]

# Not the other 5xx: behind a proxy that gave up, the answer may have been written and billed.
_REFUSALS = (
    "http_4", "http_503", "http_529", "refused_request", "context_overflow", "unreachable", "budget_spent",
)  # fmt: skip


class ChatAnswer(Record, frozen=True, kw_only=True):
    """One model's answer to one request. Tool calls are compact JSON, as in a dataset's samples.

    `fault` is None for an answer that can be scored. ``candidate``: the model's own doing (cut at the token
    limit, refused the request, took longer than the time limit), which scores the lowest value.
    ``infrastructure``: network, rate limit, server error after all retries, which stays unscored.
    `error` starts with a stable code.
    """

    output: str | None = None
    finish_reason: str | None = None
    ttft_ms: float | None = None
    total_ms: float | None = None
    usage: Usage | None = None
    fault: Fault | None = None
    error: str | None = None
    attempts: int = 1
    signals: dict[SignalName, float] | None = None
    """How sure the model was; empty where it told nothing of that, None where it was not asked to."""

    @property
    def is_refusal(self) -> bool:
        """Whether the API did not begin to answer, which is not billed."""
        return (self.error or "").startswith(_REFUSALS)

    @property
    def keepable(self) -> bool:
        """Whether asking again would be pointless. It is not after a time-out or an outage, which may pass."""
        return self.fault is None or (
            self.fault == "candidate" and not (self.error or "").startswith("timeout")
        )


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a scorer's options, the `[task.options]` of `freehold.toml`. Strict: people write them."""


class AskedModel(NamedTuple):
    """The model whose API a scorer asks for its scores; `api_key_env` names the variable with the key, `kept` says that
    answers are kept, so that it may not have to be asked."""

    base_url: str
    model: str
    api_key_env: str | None = None
    kept: bool = False


@runtime_checkable
class Scorer(Protocol):
    """How good one answer is; the scorers inherit what they don't say otherwise.

    `binary` says that every score is 0 or 1, which decides the test the comparison uses.
    `needs_reference` says that without a right answer to compare with nothing can be scored.
    `right_by_agreement` says that an answer equal to the reference is right whatever it says, so that the incumbent's
    own needs no scoring where it is the reference: not where answers are scored by themselves.
    `at_once` answers are scored at a time: 1 where scoring only computes and gains nothing from waiting.
    `checks_parity` says that a served model's answers may be compared with the trainer's by it: not where each
    score costs a model call, or where the engine parses the answer before it is scored.
    `whole_groups` says that a group's answers are judged together, as an agent's session: all of them count, however
    many (`stats.compare.ScoreContext.whole_units`).
    `asks` is the model that scoring asks and pays for; None where it only computes.
    """

    name: str
    binary: bool
    needs_reference: bool
    right_by_agreement: bool = True
    at_once: int = 1
    checks_parity: bool = True
    whole_groups: bool = False
    asks: AskedModel | None = None

    def __init__(self, options: dict[str, Any]) -> None: ...

    async def score(self, sample: Sample, answer: str, reference: str | None) -> Score:
        """Score `answer` to `sample` against `reference`.

        Never raises for what an answer says, only where a function of the user's own is at fault: a wrong form scores
        0 with `format_ok` false and a reason; what could not be scored, by no fault of the answer, has no value and a
        reason. A reason starts with a stable code, details follow after ``: ``.
        """
        ...

    async def close(self) -> None:
        """Release what scoring holds open: a process, a connection. Nothing, unless a scorer says otherwise."""
        return

    @classmethod
    def own_slices(
        cls, options: dict[str, Any], samples: Sequence[Sample], references: Sequence[str | None]
    ) -> dict[str, list[str | None]]:
        """Slices that belong to what is scored, by name, besides those a task declares. They know the samples and what
        was wanted, never an answer: a slice chosen by answers would prove itself."""
        return {}

    @classmethod
    def own_notes(
        cls, options: dict[str, Any], incumbent: Sequence[EvalResult], candidate: Sequence[EvalResult]
    ) -> list[str]:
        """What a reader of the comparison must know about these scores."""
        return []

    @classmethod
    def own_sandbox(cls, options: dict[str, Any]) -> str | None:
        """What held the user's code while it scored, as records say it; None where none is run."""
        return None


O = TypeVar("O", bound=Options)  # noqa: E741


def read_options(scorer: str, options: dict[str, Any], kind: type[O]) -> O:
    """`options` as `kind`. Raises `ConfigError` naming the key, and for an unknown one the nearest known."""
    return record.read(options, kind, f"scorer {scorer}", noun="option")


NO_REFERENCE = Score(value=None, reason="no_reference: the right answer is not known")
EMPTY = Score(value=0.0, reason="empty_answer", format_ok=False)


def right(**parts: float) -> Score:
    """The full score."""
    return Score(value=1.0, parts=parts)


def wrong(reason: str, **parts: float) -> Score:
    """A well-formed answer that is not right."""
    return Score(value=0.0, reason=reason, parts=parts)


def malformed(reason: str, **parts: float) -> Score:
    """An answer in the wrong form: scores 0 and counts as a format failure."""
    return Score(value=0.0, reason=reason, format_ok=False, parts=parts)


def shortened(text: str, limit: int = 60) -> str:
    """`text` on one line, cut for a reason."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
