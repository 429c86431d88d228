"""What two transcripts of the same prompts say: served as trained, or not and the likely cause. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from freehold import __version__
from freehold.engines.transcript import Transcript
from freehold.training.reference import ReferenceScores
from freehold.types.parity import Cause, ParityItem, ParityReport, ScoreParity

LEAST_AGREEMENT = 0.95
"""Of greedy tokens. Where log-probabilities are known to be close, fewer only count when they are so by more than
chance: of a few dozen tokens some are near ties, which rounding decides."""
CHANCE = 0.05
MOST_DISTANCE = 0.15
"""Nats. The same weights served by llama.cpp with 8-bit activations stay well below; see docs/guides/parity.md."""
LEAST_STOPS = 0.9


def compare(served: Transcript, trained: ReferenceScores) -> ParityItem:
    """One prompt's two sides."""
    at, ours, theirs = _difference(served, trained)
    count = len(trained.answer_ids)
    distance = base_distance = None
    if served.logprobs is not None and len(served.logprobs) >= count > 0:
        told = served.logprobs[:count]
        distance = sum(abs(a - b) for a, b in zip(told, trained.logprobs, strict=True)) / count
        if trained.base_logprobs:
            base_distance = sum(abs(a - b) for a, b in zip(told, trained.base_logprobs, strict=True)) / count
    return ParityItem(
        sample_id=trained.id,
        prompt_tokens=len(trained.prompt_ids),
        difference_at=at,
        trainer_token=ours,
        served_token=theirs,
        tokens=count,
        agreeing=sum(a == b for a, b in zip(trained.answer_ids, trained.best_ids, strict=True)),
        distance=distance,
        base_distance=base_distance,
        stops=trained.ends if served.finish_reason == "stop" else None,
    )


def _difference(served: Transcript, trained: ReferenceScores) -> tuple[int | None, str | None, str | None]:
    """Where prompts part, and the token there on the trainer's and the served side."""
    ours = trained.prompt_ids
    theirs = served.prompt_ids
    if theirs is None:  # the engine tells only how many
        if served.prompt_tokens in (None, len(ours)):
            return None, None, None
        return (
            min(served.prompt_tokens or 0, len(ours)),
            f"{len(ours)} tokens",
            f"{served.prompt_tokens} tokens",
        )
    if theirs == ours:
        return None, None, None
    at = next(
        (n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs))
    )
    name = trained.prompt_tokens[at] if at < len(ours) else None
    other = theirs[at] if at < len(theirs) else None
    # Only where nothing else differs: a template of its own may begin with the very token.
    if _without(ours, trained.bos_id) == _without(theirs, trained.bos_id):
        if other == trained.bos_id:
            return at, name, "BOS"
        return at, "BOS", None if other is None else str(other)
    return at, name, None if other is None else str(other)


def _without(ids: Sequence[int], first: int | None) -> tuple[int, ...]:
    """Token ids behind those at the start that are `first`."""
    return tuple(itertools.dropwhile(lambda one: one == first, ids))


def summarize(
    items: Sequence[ParityItem],
    *,
    model: str,
    engine: str,
    adapter_id: str | None,
    has_adapter: bool,
    score: ScoreParity | None = None,
) -> ParityReport:
    """Join items into a report: passed, or failed with the likely causes. Pure; id and time are added later."""
    tokens = sum(item.tokens for item in items)
    agreement = sum(item.agreeing for item in items) / tokens if tokens else 0.0
    distance = _mean([(item.distance, item.tokens) for item in items])
    base_distance = _mean([(item.base_distance, item.tokens) for item in items])
    equal = sum(item.difference_at is None for item in items)
    stops = [item.stops for item in items if item.stops is not None]
    causes: list[Cause] = []
    reasons: list[str] = []

    def fail(cause: Cause, reason: str) -> None:
        causes.append(cause)
        reasons.append(reason)

    if not tokens:
        fail("template", "the served model answered nothing")
    first = next((item for item in items if item.difference_at is not None), None)
    if first is not None:
        bos = first.difference_at == 0 and "BOS" in (first.trainer_token, first.served_token)
        fail(
            "bos" if bos else "template",
            f"{len(items) - equal} of {len(items)} prompts have other token ids; the first parts at token "
            f"{first.difference_at} ({first.trainer_token} trained, {first.served_token} served)",
        )
    elif (distance is not None and distance > MOST_DISTANCE) or _too_few(
        sum(item.agreeing for item in items), tokens, close=distance is not None
    ):
        shown = "unknown" if distance is None else f"{distance:.3f} nats"
        figures = f"log-probabilities are {shown} apart, {agreement:.1%} of greedy tokens agree"
        if has_adapter and distance is not None and base_distance is not None and base_distance < distance:
            fail(
                "adapter_not_applied",
                f"{figures}; the base alone is nearer ({base_distance:.3f}): no adapter is on",
            )
        elif (
            has_adapter
            and base_distance is not None
            and distance is not None
            and distance > 0.4 * base_distance
        ):
            fail("adapter_scale", f"{figures}; that lies between base and adapter: check the adapter's scale")
        else:
            fail("numbers", f"{figures}: other weights, quantization or KV type than trained on")
    if stops and sum(stops) < LEAST_STOPS * len(stops) and not causes:
        fail(
            "stop", f"{len(stops) - sum(stops)} of {len(stops)} answers end where the trainer's model goes on"
        )
    if score is not None and score.ci_high is not None and score.ci_high < 0 and not causes:
        fail(
            "score",
            f"the task's score fell from {score.trained_mean:.1%} to {score.served_mean:.1%} in serving "
            f"({score.level:.0%} interval {score.ci_low:+.1%} to {score.ci_high:+.1%})",
        )
    return ParityReport(
        id="",
        at="",
        version=__version__,
        model=model,
        adapter_id=adapter_id,
        engine=engine,
        passed=not causes,
        causes=tuple(causes),
        reasons=tuple(reasons),
        prompts=len(items),
        prompts_equal=equal,
        tokens=tokens,
        token_agreement=agreement,
        distance=distance,
        base_distance=base_distance,
        stops=len(stops),
        stops_equal=sum(stops),
        score=score,
        items=tuple(items),
    )


def _too_few(agreeing: int, tokens: int, *, close: bool) -> bool:
    """Whether agreement is below what it must be; where log-probabilities are `close`, provably so (exact binomial, one
    side)."""
    if agreeing >= LEAST_AGREEMENT * tokens:
        return False
    if not close:
        return True
    miss, hit = math.log(1 - LEAST_AGREEMENT), math.log(LEAST_AGREEMENT)
    fewer = sum(
        math.exp(
            math.lgamma(tokens + 1)
            - math.lgamma(n + 1)
            - math.lgamma(tokens - n + 1)
            + n * miss
            + (tokens - n) * hit
        )
        for n in range(tokens - agreeing)
    )
    return 1 - fewer < CHANCE


def _mean(values: Sequence[tuple[float | None, int]]) -> float | None:
    known = [(value, weight) for value, weight in values if value is not None and weight]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None
