"""What two transcripts of the same prompts say: served as trained, or not and the likely cause. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from freehold import __version__
from freehold.engines.transcript import Transcript
from freehold.stats.sequential import ShareTest
from freehold.training.reference import ReferenceScores
from freehold.types.gates import Cause, ParityItem, ParityReport, ScoreParity

LEAST_AGREEMENT = 0.95
"""Of greedy tokens. Where log-probabilities are known to be close, a smaller share only counts where it is below by
more than chance: among a few dozen tokens some are near ties, which rounding decides."""
CHANCE = 0.05
MOST_DISTANCE = 0.15
"""Nats. The same weights served by llama.cpp with 8-bit activations stay well below; see docs/guides/prove.md."""
ENDS = ShareTest(wanted=0.98, least=0.9, error=0.05)
"""Equal weights end a turn elsewhere at a near tie now and then; a lost end of turn shows in far more than one in
ten."""


def compare(served: Transcript, trained: ReferenceScores, *, wants_call: bool = False) -> ParityItem:
    """One prompt's two sides. `wants_call`: the right answer is a tool call."""
    at, trainer_token, served_token = _difference(served, trained)
    count = len(trained.answer_ids)
    distance = base_distance = None
    if served.logprobs is not None and len(served.logprobs) >= count > 0:
        logprobs = served.logprobs[:count]
        distance = sum(abs(a - b) for a, b in zip(logprobs, trained.logprobs, strict=True)) / count
        if trained.base_logprobs:
            base_distance = (
                sum(abs(a - b) for a, b in zip(logprobs, trained.base_logprobs, strict=True)) / count
            )
    return ParityItem(
        sample_id=trained.id,
        prompt_tokens=len(trained.prompt_ids),
        difference_at=at,
        trainer_token=trainer_token,
        served_token=served_token,
        tokens=count,
        agreeing=sum(a == b for a, b in zip(trained.answer_ids, trained.best_ids, strict=True)),
        distance=distance,
        base_distance=base_distance,
        stops=trained.ends if _ended(served, count) else None,
        silent=trained.ends and not (count or served.text.strip() or served.called),
        wants_call=wants_call,
    )


def _ended(served: Transcript, tokens: int) -> bool:
    """Whether the model ended its turn where it can be compared: a call that only the engine read has no tokens."""
    if served.called and not tokens:
        return False
    return served.finish_reason in ("stop", "tool_calls")


def undecided(items: Sequence[ParityItem]) -> bool:
    """Whether more prompts could decide where turns end: not where other faults explain the difference, or where the
    limit cuts every answer."""
    return (
        ENDS.shown(_ends(items)) == "undecided"
        and any(item.stops is not None for item in items)
        and all(item.difference_at is None for item in items)
    )


def _ends(items: Sequence[ParityItem]) -> list[bool]:
    return [item.stops for item in items if item.stops is not None]


def _difference(served: Transcript, trained: ReferenceScores) -> tuple[int | None, str | None, str | None]:
    """Where the prompts begin to differ, and the token there on the trainer's and the served side."""
    trained_ids = trained.prompt_ids
    served_ids = served.prompt_ids
    if served_ids is None:  # the engine reports only how many
        if served.prompt_tokens in (None, len(trained_ids)):
            return None, None, None
        return (
            min(served.prompt_tokens or 0, len(trained_ids)),
            f"{len(trained_ids)} tokens",
            f"{served.prompt_tokens} tokens",
        )
    if served_ids == trained_ids:
        return None, None, None
    at = next(
        (n for n, (a, b) in enumerate(zip(trained_ids, served_ids, strict=False)) if a != b),
        min(len(trained_ids), len(served_ids)),
    )
    name = trained.prompt_tokens[at] if at < len(trained_ids) else None
    other = served_ids[at] if at < len(served_ids) else None
    # Only where nothing else differs: another template may begin with that very token.
    if _without(trained_ids, trained.bos_id) == _without(served_ids, trained.bos_id):
        if other == trained.bos_id:
            return at, name, "BOS"
        return at, "BOS", None if other is None else str(other)
    return at, name, None if other is None else str(other)


def _without(ids: Sequence[int], first: int | None) -> tuple[int, ...]:
    """The token ids after those at the start that are `first`."""
    return tuple(itertools.dropwhile(lambda one: one == first, ids))


class ServedAs(NamedTuple):
    """What was served: a model of an engine, with an adapter or without."""

    model: str
    engine: str
    adapter_id: str | None = None
    has_adapter: bool = False


def summarize(
    items: Sequence[ParityItem], served: ServedAs, *, score: ScoreParity | None = None
) -> ParityReport:
    """Join items into a report: passed, or failed with the likely causes. Pure; id and time are added later."""
    tokens = sum(item.tokens for item in items)
    stops = _ends(items)
    draft = ParityReport(
        id="",
        at="",
        version=__version__,
        model=served.model,
        adapter_id=served.adapter_id,
        engine=served.engine,
        passed=False,
        causes=(),
        reasons=(),
        prompts=len(items),
        prompts_equal=sum(item.difference_at is None for item in items),
        tokens=tokens,
        token_agreement=sum(item.agreeing for item in items) / tokens if tokens else 0.0,
        distance=_mean([(item.distance, item.tokens) for item in items]),
        base_distance=_mean([(item.base_distance, item.tokens) for item in items]),
        stops=len(stops),
        stops_equal=sum(stops),
        ends=ENDS.shown(stops),
        score=score,
        items=tuple(items),
    )
    faults = _faults(draft, has_adapter=served.has_adapter)
    return msgspec.structs.replace(
        draft,
        passed=not faults,
        causes=tuple(fault.cause for fault in faults),
        reasons=tuple(fault.reason for fault in faults),
    )


class _Fault(NamedTuple):
    cause: Cause
    reason: str


def _faults(found: ParityReport, *, has_adapter: bool) -> list[_Fault]:
    """What is wrong, the root first: stops and scores are judged only where nothing before them explains them."""
    faults = []
    if not found.tokens:
        faults.append(_Fault("template", "the served model answered nothing"))
    elif silence := _silence(found.items):
        faults.append(_Fault("template", silence))
    first = next((item for item in found.items if item.difference_at is not None), None)
    if first is not None:
        bos = first.difference_at == 0 and "BOS" in (first.trainer_token, first.served_token)
        faults.append(
            _Fault(
                "bos" if bos else "template",
                f"{found.prompts - found.prompts_equal} of {found.prompts} prompts have different token ids; the first "
                f"differs at token {first.difference_at} ({first.trainer_token} trained, {first.served_token} served)",
            )
        )
    elif (found.distance is not None and found.distance > MOST_DISTANCE) or _too_few(
        sum(item.agreeing for item in found.items), found.tokens, close=found.distance is not None
    ):
        faults.append(_numbers_fault(found, has_adapter=has_adapter))
    if found.ends == "too few" and not faults:
        unequal = found.stops - found.stops_equal
        faults.append(
            _Fault("stop", f"{unequal} of {found.stops} answers end where the trainer's model goes on")
        )
    score = found.score
    if score is not None and score.ci_high is not None and score.ci_high < 0 and not faults:
        faults.append(
            _Fault(
                "score",
                f"the task's score fell from {score.trained_mean:.1%} to {score.served_mean:.1%} in serving "
                f"({100 * score.level:.3g}% interval {score.ci_low:+.1%} to {score.ci_high:+.1%})",
            )
        )
    return faults


def _silence(items: Sequence[ParityItem]) -> str:
    """What is wrong where most answers of a kind are empty on both sides: two silent models are equal, and useless."""
    for wants_call, kind in ((True, "prompts that want a tool call"), (False, "prompts that want words")):
        of_kind = [item.silent for item in items if item.wants_call is wants_call]
        if 2 * sum(of_kind) > len(of_kind):
            return (
                f"{sum(of_kind)} of {len(of_kind)} answers to {kind} are empty, served and trained alike: "
                "the chat template may have lost what was taught"
            )
    return ""


def _numbers_fault(found: ParityReport, *, has_adapter: bool) -> _Fault:
    """Why the numbers differ although the token ids are equal: the base alone tells what the adapter does."""
    distance, base_distance = found.distance, found.base_distance
    shown = "unknown" if distance is None else f"{distance:.3f} nats"
    figures = f"log-probabilities are {shown} apart, {found.token_agreement:.1%} of greedy tokens agree"
    if has_adapter and distance is not None and base_distance is not None:
        if base_distance < distance:
            return _Fault(
                "adapter_not_applied",
                f"{figures}; the base alone is nearer ({base_distance:.3f}): the adapter is not applied",
            )
        if distance > 0.4 * base_distance:
            return _Fault(
                "adapter_scale",
                f"{figures}; that lies between base and adapter: check the adapter's scale",
            )
    return _Fault("numbers", f"{figures}: different weights, quantization or KV type from those trained on")


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
