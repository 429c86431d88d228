import numpy as np

from freehold.stats.deferral import best_curve
from freehold.types.choosing import SelectionScores
from freehold.types.config import DeferConfig
from freehold.types.dataset import Message, Sample
from freehold.types.deferral import Tier
from freehold.types.evaluated import LatencySummary
from freehold.workflows.journey.mixing.planning import (
    AskedTier,
    SelectionSplit,
    find_curves,
    refusals,
    rule_of,
    with_declared,
)

N = 300


def split(*, signals, wrong):
    samples = [
        Sample(
            id=str(at),
            messages=(Message(role="user", content=f"{'hard' if wrong[at] else 'easy'} question {at}"),),
            group=f"g{at // 2}",
            metadata={"team": "legal" if at % 10 == 0 else "sales"},
        )
        for at in range(N)
    ]
    scores = SelectionScores(
        of=N, differences=tuple(-1.0 if one else 0.0 for one in wrong), groups=tuple(one.group for one in samples),
        against="incumbent", mean=0.8, incumbent_mean=1.0, latency=LatencySummary(n=N, concurrency=1),
        seconds_per_request=0.1, signals=signals,
    )  # fmt: skip
    candidate = AskedTier(Tier(model="small", identity="id"), scores)
    return SelectionSplit(samples, candidate, None, 0.05, 0.025, DeferConfig())


WRONG = [at % 4 == 0 for at in range(N)]
SURE = tuple(0.1 + 0.001 * (at % 7) if bad else 0.9 - 0.001 * (at % 11) for at, bad in enumerate(WRONG))


def test_every_signal_and_a_router_get_a_curve_and_the_best_gives_the_rule(tmp_path):
    found, notes = find_curves(split(signals={"probability": SURE}, wrong=WRONG))
    assert [one.curve.signal for one in found] == ["probability", "router"]
    assert notes == [] and best_curve([one.curve for one in found]) is not None
    for place, has_file in ((0, False), (1, True)):
        rule = rule_of(found[place], "big", DeferConfig(), tmp_path)
        assert rule.problem is None and (rule.candidate.router is not None) is has_file


def test_a_constant_signal_is_refused_in_words():
    asked = split(signals={"mean_logprob": (1.0,) * N}, wrong=WRONG)
    found = find_curves(asked)[0][:1]  # without the router's
    assert best_curve([one.curve for one in found]) is None
    (why,) = refusals(found)
    assert why.startswith("mean logprob: the signal is 1 for every answer")


def test_one_class_teaches_no_router():
    _, notes = find_curves(split(signals={}, wrong=[False] * N))
    assert notes and notes[0].startswith("No router: all 300")


def test_declared_samples_are_put_where_they_are_executed():
    asked = split(signals={}, wrong=WRONG)
    raw = np.array(SURE)
    never = with_declared(raw, asked.samples, DeferConfig(never_defer_out=({"team": "legal"},)))
    always = with_declared(raw, asked.samples, DeferConfig(always_incumbent=({"team": "legal"},)))
    assert np.all(never[::10] == raw.max()) and np.all(np.isnan(always[::10]))
    assert np.array_equal(never[1:10], raw[1:10]) and not np.isnan(raw).any()
