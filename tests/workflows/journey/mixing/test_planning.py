from decimal import Decimal

import msgspec
import numpy as np
import pytest
from tests.report.sample_mixture import mixture
from tests.workflows.journey.rehearsal import project

from freehold.errors import ConfigError, StorageError, UsageError
from freehold.evals.comparing import SideBySide
from freehold.progress import Silent
from freehold.stats.deferral import best_curve
from freehold.store import open_store
from freehold.types.choosing import RequestCost, SelectionScores
from freehold.types.config import DeferConfig
from freehold.types.dataset import Message, Sample
from freehold.types.deferral import Tier
from freehold.types.evaluated import Evaluation, LatencySummary, Measured
from freehold.types.evaluation import EvalResult, Score, Task
from freehold.workflows.journey.mixer import Paid, mixture_cost, paid
from freehold.workflows.journey.mixing import (
    AskedTier,
    SelectionSplit,
    check_declared,
    decide,
    declared,
    find_curves,
    mixed,
    refusals,
    rule_of,
    with_declared,
)
from freehold.workflows.journey.mixture import kept_mixture, plan_mixture
from freehold.workflows.project import open_project
from freehold.workflows.prove.mixed import held_out_results

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


def test_what_teaches_no_rule_is_refused_in_words():
    asked = split(signals={"mean_logprob": (1.0,) * N}, wrong=WRONG)
    found = find_curves(asked)[0][:1]  # without the router's
    assert best_curve([one.curve for one in found]) is None
    (why,) = refusals(found)
    assert why.startswith("mean logprob: the signal is 1 for every answer")
    _, notes = find_curves(split(signals={}, wrong=[False] * N))
    assert notes and notes[0].startswith("No router: all 300")


def test_declared_samples_are_put_where_they_are_executed():
    asked = split(signals={}, wrong=WRONG)
    raw = np.array(SURE)
    never = with_declared(raw, asked.samples, DeferConfig(never_defer_out=({"team": "legal"},)))
    always = with_declared(raw, asked.samples, DeferConfig(always_incumbent=({"team": "legal"},)))
    assert np.all(never[::10] == raw.max()) and np.all(np.isnan(always[::10]))
    assert np.array_equal(never[1:10], raw[1:10]) and not np.isnan(raw).any()


RULE = mixture().rule
SURE_of_looking, UNSURE = 0.99, 0.01


def sample(number, **metadata):
    return Sample(id=str(number), messages=(Message(role="user", content="q"),), metadata=metadata)


def answer(number, raw, *, value=0.0, error=None, ms=10.0):
    signals = {} if raw is None else {"probability": raw}
    return EvalResult(
        sample_id=str(number), model="small", output="a", score=Score(value=value), error=error, signals=signals,
        total_ms=ms,
    )  # fmt: skip


SAMPLES = [sample(0), sample(1), sample(2), sample(3, team="legal"), sample(4, team="health"), sample(5)]
OWN = [
    answer(0, SURE_of_looking),
    answer(1, UNSURE, ms=30.0),
    answer(2, None),
    answer(3, SURE_of_looking),
    answer(4, UNSURE),
    answer(5, SURE_of_looking, value=None, error="http_500"),
]


def test_who_answers_by_the_rule():
    assert (decide(RULE, SAMPLES, OWN) >= RULE.threshold).tolist() == [
        True,
        False,
        False,
        True,
        False,
        False,
    ]
    declared = msgspec.structs.replace(
        RULE, always_incumbent=({"team": "legal"},), never_defer_out=({"team": "health"},)
    )
    assert (decide(declared, SAMPLES, OWN) >= RULE.threshold).tolist() == [
        True,
        False,
        False,
        False,
        True,
        False,
    ]


def test_an_upper_model_has_its_results_where_it_answers():
    theirs = [answer(at, None, value=1.0) for at in range(6)]
    results = SideBySide(SAMPLES, [None] * 6, theirs, OWN, "big", "small")
    upper = {1: answer(1, None, value=0.5)}
    made = mixed(results, decide(RULE, SAMPLES, OWN) >= RULE.threshold, upper)
    assert [one.score.value for one in made.candidate] == [0.0, 0.5, 1.0, 0.0, 1.0, 1.0]


def test_results_that_are_gone_are_told(tmp_path):
    made = Evaluation(
        id="e", task=Task(name="t", scorer="label"), dataset_id="d", incumbent="big", candidate="small", endpoint="",
        comparison=None, measured=Measured(n=0, mean=None, ci_low=None, ci_high=None, level=0.95, method="t"),
        references="gold", latency=LatencySummary(n=0, concurrency=1), results_file=str(tmp_path / "gone.jsonl"),
    )  # fmt: skip
    with pytest.raises(StorageError, match=r"gone\.jsonl.*cannot be read"):
        held_out_results(made)


OWN_of_rest = RequestCost(usd_per_1000=Decimal("0.1"), basis="measured_here", why="measured")
UNKNOWN = RequestCost(usd_per_1000=None, basis="unknown", why="no price")


@pytest.mark.parametrize(("asked", "usd"), [(1.0, "1.3"), (0.4, "1.24")])
def test_a_deferred_request_costs_both_in_a_cascade(asked, usd):
    found = mixture_cost([(asked, OWN_of_rest)], 0.6, Paid(Decimal(2), Decimal(50_000), "stated"))
    assert found.mixture_usd == Decimal(usd) and found.saved_per_month == (2 - Decimal(usd)) * 50


def test_of_several_tiers_each_is_paid_for_what_it_was_asked():
    dear = RequestCost(usd_per_1000=Decimal("0.4"), basis="measured_here", why="measured")
    found = mixture_cost([(1.0, OWN_of_rest), (0.5, dear)], 0.2, Paid(Decimal(2), None, "stated"))
    assert found.mixture_usd == Decimal("0.7") and found.saved_per_month is None


@pytest.mark.parametrize(
    ("theirs", "own"),
    [(Paid(None, Decimal(5), "why"), OWN_of_rest), (Paid(Decimal(2), Decimal(5), "why"), UNKNOWN)],
)
def test_an_unknown_price_leaves_the_saving_unknown(theirs, own):
    found = mixture_cost([(1.0, own)], 0.6, theirs)
    assert (found.mixture_usd, found.saved_per_month) == (None, None)


def test_an_upper_model_is_paid_in_the_incumbents_place():
    theirs, upper = Paid(Decimal(2), None, "stated"), Paid(Decimal("0.5"), None, "as the file says")
    found = mixture_cost([(1.0, OWN_of_rest)], 0.6, theirs, upper)
    assert found.mixture_usd == Decimal("0.4") and found.why[-1] == "upper model: as the file says"


def test_how_to_know_the_price_is_said(tmp_path):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "x"\n')
    found = paid(open_project(tmp_path / "freehold.toml"), "nobodys-model", None)
    assert found.usd_per_1000 is None and "the price of nobodys-model is not known" in found.why


SAMPLES_of_slices = [sample(0, team="legal", tier=1, vip=True), sample(1, team="sales", tier=2), sample(2)]


@pytest.mark.parametrize(
    ("conditions", "met"),
    [
        (({"team": "legal"},), [True, False, False]),
        (({"team": "legal", "tier": "2"},), [False, False, False]),
        (({"team": "legal"}, {"tier": "2"}), [True, True, False]),
        (({"vip": "true"},), [True, False, False]),
        (({"team": "legal", "key": "web"},), [False, False, False]),
        (({"header:x-tier": "gold"}, {}), [False, False, False]),
        ((), [False, False, False]),
    ],
)
def test_all_parts_of_one_condition_hold(conditions, met):
    assert declared(conditions, SAMPLES_of_slices).tolist() == met


def test_what_samples_cannot_know_is_told():
    (note,) = check_declared(DeferConfig(always_incumbent=({"header:x-tier": "gold"},)), SAMPLES_of_slices)
    assert "samples carry neither headers nor keys" in note


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"always_incumbent": ({},)}, "met by every request"),
        ({"never_defer_out": ({"tame": "legal"},)}, "no sample has the field 'tame'"),
        (
            {"always_incumbent": ({"team": "legal"},), "never_defer_out": ({"tier": "1"},)},
            "1 samples are declared as always_incumbent and as never_defer_out",
        ),
    ],
)
def test_what_cannot_be_is_an_error(config, said):
    with pytest.raises(ConfigError, match=said):
        check_declared(DeferConfig(**config), SAMPLES_of_slices)


def test_a_field_whose_name_begins_like_a_keys_is_a_field():
    known = [sample(0, keyword="tax"), sample(1, keyword="bill")]
    config = DeferConfig(always_incumbent=({"keyword": "tax"},))
    assert check_declared(config, known) == []
    assert declared(config.always_incumbent, known).tolist() == [True, False]


def test_the_last_one_of_a_candidate_is_kept(tmp_path):
    opened = project(tmp_path)
    with pytest.raises(UsageError, match="no fallback was planned yet"):
        kept_mixture(opened)
    with open_store(opened.store_url) as store:
        store.put(mixture())
        store.put(mixture(id="n" * 32, candidate="large:app", label="org/large · lora"))
    assert kept_mixture(opened).candidate == "large:app"
    assert kept_mixture(opened, "org/small · encoder").candidate == "small:app"


def test_an_obstacle_is_kept_with_the_way_out(tmp_path):
    opened = project(tmp_path)
    made = plan_mixture(opened, progress=Silent())
    assert made.rule is None and made.refused and made.way_out and kept_mixture(opened) == made
