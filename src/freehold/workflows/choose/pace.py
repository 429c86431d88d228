"""How long a model takes for a request of the traffic, and whether that is fast enough."""

from __future__ import annotations

import math
from collections.abc import Iterator

from freehold.types.machine import Speed
from freehold.types.planning.assessment import ModelLimits, Needs, TaskKind

_USUAL_PROMPT = 500
_USUAL_ANSWER: dict[TaskKind | None, int] = {
    "labels": 5, "extraction": 150, "tools": 40, "text": 200, "agent": 200, "code": 400, None: 100,
}  # fmt: skip
"""Tokens of an answer where no traffic says how long they are."""


def seconds(speed: Speed | None, needs: Needs, end: int | None = None) -> float | None:
    """For one request as long as those of the traffic, or usual ones where there is none: at the slow (0) or fast (1)
    end of the speed, or in its middle."""
    if speed is None:
        return None
    prompt, answer = (
        needs.prompt_tokens or _USUAL_PROMPT,
        needs.completion_tokens or _USUAL_ANSWER[needs.task],
    )
    return prompt / _rate(speed.prefill_tokens_per_second, end) + answer / _rate(
        speed.decode_tokens_per_second, end
    )


def _rate(interval: tuple[float, float], end: int | None) -> float:
    return math.sqrt(interval[0] * interval[1]) if end is None else interval[end]


def speed_reasons(speed: Speed | None, needs: Needs, limits: ModelLimits) -> Iterator[tuple[bool, str]]:
    """What is too slow even at the fast end of its estimate, which excludes it, or may be at the slow end."""
    least, most = limits.least_tokens_per_second, limits.most_seconds
    if speed is None:
        if least is not None or most is not None:
            yield True, "speed: not known for this machine"
        return
    low, high = speed.decode_tokens_per_second
    if least is not None and low < least:
        yield high < least, f"speed: {low:,.3g} to {high:,.3g} tokens/s, {least:g} wanted"
    slow, fast = seconds(speed, needs, 0), seconds(speed, needs, 1)
    if most is not None and slow is not None and fast is not None and slow > most:
        yield fast > most, f"speed: {fast:,.2g} to {slow:,.2g} s for a request, {most:g} at most wanted"


def is_doubtful(speed: Speed | None, needs: Needs, limits: ModelLimits) -> bool:
    """Whether the middle of the estimate misses a limit."""
    if speed is None:
        return False
    least, middle = limits.least_tokens_per_second, seconds(speed, needs)
    too_slow = least is not None and _rate(speed.decode_tokens_per_second, None) < least
    too_late = limits.most_seconds is not None and middle is not None and middle > limits.most_seconds
    return too_slow or too_late
