import numpy as np

from freehold.deferring.combination import answer_parts
from freehold.types.config import DeferConfig
from freehold.types.dataset import Message, Sample
from freehold.types.evaluated import LatencySummary
from freehold.types.selected import SelectionScores
from freehold.workflows.journey.mixing.curves import (
    AskedSplit,
    MixedModels,
    Terms,
    best_of,
    find_curves,
    refusals,
    rule_of,
    with_declared,
)

N = 300


def split(*, signals, wrong, parts=()):
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
        seconds_per_request=0.1, signals=signals, parts=parts,
    )  # fmt: skip
    return AskedSplit(samples, scores)


WRONG = [at % 4 == 0 for at in range(N)]
SURE = tuple(0.1 + 0.001 * (at % 7) if bad else 0.9 - 0.001 * (at % 11) for at, bad in enumerate(WRONG))
TERMS = Terms(0.05, 0.025, 400, DeferConfig())


def test_every_signal_and_a_router_get_a_curve_and_the_best_gives_the_rule(tmp_path):
    found, notes = find_curves(split(signals={"probability": SURE}, wrong=WRONG), TERMS)
    assert [(one.curve.way, one.curve.signal) for one in found] == [
        ("cascade", "probability"),
        ("router", "router"),
    ]
    assert notes == [] and best_of(found) is not None
    for place, has_file in ((0, False), (1, True)):
        rule = rule_of(found[place], MixedModels("small", "id", "big"), DeferConfig(wait_ms=5), tmp_path)
        assert rule.problem is None and (rule.router is not None) is has_file and rule.wait_ms == 5


def test_signals_and_what_was_answered_are_joined_into_one(tmp_path):
    """Half of what the signal misses is told by the answer."""
    random = np.random.default_rng(0)
    hard = random.random(N) < 0.3
    raw = random.random(N)
    wrong = [bool(one) for one in (hard & (raw < 0.8)) | (raw < 0.1)]
    parts = tuple(answer_parts("hard" if one else "easy") for one in hard)
    columns = {"probability": tuple(raw.tolist()), "margin": tuple(random.random(N).tolist())}
    found, _ = find_curves(split(signals=columns, wrong=wrong, parts=parts), TERMS)
    assert [one.curve.signal for one in found] == ["probability", "combined", "router"]
    alone, joined, _ = (one.curve for one in found)
    assert joined.quality.auroc > alone.quality.auroc + 0.05
    rule = rule_of(found[1], MixedModels("small", "id", "big"), DeferConfig(), tmp_path)
    assert (
        rule.problem is None
        and rule.way == "cascade"
        and rule.combination.signals == ("margin", "probability")
    )
    same = find_curves(
        split(signals=columns, wrong=wrong), TERMS._replace(config=DeferConfig(signals=("margin",)))
    )
    assert [one.curve.signal for one in same[0]] == ["margin"], "asked for, it is a rule of its own"


def test_one_signal_that_is_to_be_joined_is_told():
    config = TERMS._replace(config=DeferConfig(signals=("combined",)))
    found, notes = find_curves(split(signals={"probability": SURE}, wrong=WRONG), config)
    assert found == [] and notes[0].startswith("No joined signal: there is one signal at most")


def test_only_the_wanted_signals_are_measured_and_a_missing_one_is_told():
    config = DeferConfig(signals=("min_logprob",))
    found, notes = find_curves(
        split(signals={"probability": SURE}, wrong=WRONG), TERMS._replace(config=config)
    )
    assert found == [] and notes == ["The candidate's answers carry no min_logprob."]


def test_a_constant_signal_is_refused_in_words():
    asked = split(signals={"agreement": (1.0,) * N}, wrong=WRONG)
    found, _ = find_curves(asked, TERMS._replace(config=DeferConfig(signals=("agreement",))))
    assert best_of(found) is None
    (why,) = refusals(found)
    assert why.startswith("agreement (cascade): the signal is 1 for every answer")


def test_one_class_teaches_no_router():
    _, notes = find_curves(split(signals={}, wrong=[False] * N), TERMS)
    assert notes and notes[0].startswith("No router: all 300")


def test_declared_samples_are_put_where_they_are_executed():
    asked = split(signals={}, wrong=WRONG)
    raw = np.array(SURE)
    never = with_declared(raw, asked.samples, DeferConfig(never_defer_out=({"team": "legal"},)))
    always = with_declared(raw, asked.samples, DeferConfig(always_incumbent=({"team": "legal"},)))
    assert np.all(never[::10] == raw.max()) and np.all(np.isnan(always[::10]))
    assert np.array_equal(never[1:10], raw[1:10]) and not np.isnan(raw).any()
