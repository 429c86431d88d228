"""The boundary every scorer keeps, and how its options are read."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, runtime_checkable

import msgspec

from freehold.types import strict
from freehold.types.dataset import Sample
from freehold.types.evaluation import Score


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a scorer's options, the `[task.options]` of `freehold.toml`. Strict: people write them."""


@runtime_checkable
class Scorer(Protocol):
    """How good one answer is.

    `binary` says that every score is 0 or 1, which decides the test the comparison uses.
    `needs_reference` says that without a right answer to compare with nothing can be scored.
    """

    name: str
    binary: bool
    needs_reference: bool

    async def score(self, sample: Sample, answer: str, reference: str | None) -> Score:
        """Score `answer` to `sample` against `reference`.

        Never raises for what an answer says: a wrong form scores 0 with `format_ok` false and a reason; what
        could not be scored through nobody's fault has no value and a reason. A reason starts with a stable
        code, details follow after ``: ``.
        """
        ...


O = TypeVar("O", bound=Options)  # noqa: E741


def read_options(scorer: str, options: dict[str, Any], kind: type[O]) -> O:
    """`options` as `kind`. Raises `ConfigError` naming the key, and for an unknown one the nearest known."""
    return strict.read(options, kind, f"scorer {scorer}", noun="option")


NO_REFERENCE = Score(value=None, reason="no_reference: nobody has said what is right here")
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
