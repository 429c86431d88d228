"""What is asked of the selection split, and what 1,000 requests cost."""

from decimal import Decimal

import anyio
import msgspec
import numpy as np
import pytest
from tests.workflows.journey.rehearsal import bench, project

from freehold.engines import start
from freehold.evals.replay import ReplayOptions
from freehold.progress import Silent
from freehold.stats.rules import DecisionRule
from freehold.stats.selection import SelectionRule
from freehold.store import open_store
from freehold.types.choosing import SelectionScores
from freehold.types.config_file import parse
from freehold.types.endpoint import ServePlan
from freehold.types.evaluated import ItemLook, LatencySummary
from freehold.types.evaluation import EvalResult, Score
from freehold.types.machine import Accelerator, Machine
from freehold.workflows.journey import measuring
from freehold.workflows.journey.measuring import (
    SELECTION_SPLIT,
    hour_price,
    on_scale_of,
    request_cost,
    score_on_selection,
    signal_columns,
    tried,
)
from freehold.workflows.journey.methods import METHODS, candidates
from freehold.workflows.journey.methods.method import Candidate, Made
from freehold.workflows.project import open_project
from freehold.workflows.prove.evaluate import EvaluationPlan, ServedCandidate

MACHINE = Machine(name="two cores", cores=2, memory_bytes=8, available_memory_bytes=8, cpu="x")
PRICED = """
[app]
name = "x"
[[endpoints]]
name = "house"
base_url = "https://models.example"
price = { prompt = 2, completion = 10 }
"""


def scores(*, seconds=0.36, prompt=40_000, n=100):
    return SelectionScores(
        of=n, differences=(), groups=(), against="incumbent", mean=1.0, incumbent_mean=1.0, seconds_per_request=seconds,
        latency=LatencySummary(n=n, concurrency=4, prompt_tokens=prompt, completion_tokens=1000),
    )  # fmt: skip


def cost(text=PRICED, *, plan=None, endpoint=None, **told):
    candidate = Candidate(model="org/a", method="as_is", endpoint=endpoint)
    return request_cost(
        candidate, plan or ServePlan(engine="llamacpp", model="org/a"), scores(**told), parse(text), MACHINE
    )


def behind(url):
    return ServePlan(engine="remote", model="org/a", options={"base_url": url})


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"prompt": None}, "counts no tokens"), ({}, "price = { prompt = …")],
)
def test_what_is_not_known_is_said_and_is_not_nothing(changes, why):
    found = cost('[app]\nname = "x"\n', plan=behind("https://models.example"), **changes)
    assert (found.usd_per_1000, found.basis) == (None, "unknown") and why in found.why


def test_a_candidate_costs_its_time_here_and_its_price_elsewhere():
    found = cost(PRICED + "[selection]\nusd_per_hour = 6\n")
    assert found.usd_per_1000 == Decimal("1"), "0.36 s · 1,000 = 0.1 h, busy 60 % of the time"
    assert found.basis == "measured_here" and "$6 an hour" in found.why
    found = cost(plan=behind("https://models.example"), endpoint="house")
    assert found.usd_per_1000 == Decimal("0.9"), "400 · $2 + 10 · $10 a million, each"
    assert found.basis == "price" and "endpoint house" in found.why
    assert cost(plan=behind("http://127.0.0.1:8080")).basis == "measured_here"
    free = PRICED.replace("prompt = 2, completion = 10", "prompt = 0, completion = 0")
    assert cost(free, plan=behind("http://127.0.0.1:8080"), endpoint="house").basis == "measured_here"
    # What listens there may be a proxy of a rented API.
    found = cost(plan=behind("http://127.0.0.1:8080"), endpoint="house")
    assert (found.usd_per_1000, found.basis) == (Decimal("0.9"), "price")
    assert cost(seconds=None).usd_per_1000 is None


def test_an_hour_is_as_stated_else_what_accelerators_rent_for_else_assumed():
    plain = parse('[app]\nname = "x"\n')
    assert hour_price(plain, MACHINE).usd == Decimal("0.10") and "assumed" in hour_price(plain, MACHINE).why
    gpu = Accelerator(kind="cuda", name="H100 SXM 80GB", memory_bytes=1)
    rented = hour_price(plain, msgspec.structs.replace(MACHINE, accelerators=(gpu,)))
    assert Decimal(1) < rented.usd < Decimal(6) and "rental prices" in rented.why
    odd = msgspec.structs.replace(gpu, name="an unknown one")
    assert "assumed" in hour_price(plain, msgspec.structs.replace(MACHINE, accelerators=(gpu, odd))).why


def scores_of_tried(**changed):
    fields = {
        "of": 3, "differences": (0.0, None, -1.0), "groups": ("a", None, "a"), "against": "incumbent", "mean": 0.5,
        "incumbent_mean": 0.9, "latency": LatencySummary(n=3, concurrency=1), "seconds_per_request": None,
    }  # fmt: skip
    return SelectionScores(**fields | changed)


def test_an_item_without_a_score_keeps_its_place():
    found = tried("small", scores_of_tried(), usd=0.2, stopped="dropped")
    np.testing.assert_array_equal(found.differences, [0.0, np.nan, -1.0])
    assert found.codes.tolist() == [0, 1, 0]
    assert (found.name, found.cost, found.stopped) == ("small", 0.2, "dropped")
    assert tried("small", scores_of_tried(groups=(None, None, None))).codes is None


def test_a_rule_takes_the_scale_of_the_scores_and_nothing_else():
    rule = SelectionRule(decision=DecisionRule(margin=0.05, alpha=0.01), held_out=300, least_chance=0.7)
    wide = on_scale_of(scores_of_tried(lo=-1.0), rule)
    assert (wide.decision.lo, wide.decision.hi, wide.decision.margin, wide.decision.alpha) == (
        -1.0,
        1.0,
        0.05,
        0.01,
    )
    assert (wide.held_out, wide.least_chance) == (300, 0.7)


def measured(opened, folder, *, items):
    async def work():
        async with start(made.plan, log_dir=folder / "logs", name="select") as endpoint:
            return await score_on_selection(
                EvaluationPlan(dataset=ready.dataset, task=ready.task, split=SELECTION_SPLIT),
                ServedCandidate(endpoint, made.plan.served_name),
                items=items,
                cache_dir=folder / "evaluations",
                options=ReplayOptions(made.plan.parallel),
                progress=Silent(),
            )

    with bench(opened) as ready:
        (candidate,) = candidates(opened.config)
        made = METHODS[candidate.method].make(candidate, ready)
        return anyio.run(work)


@pytest.fixture
def opened(tmp_path):
    made = project(tmp_path, lamp="sofa")
    path = made.config_path
    path.write_text(path.read_text().replace("held_out = 0.5", "held_out = 0.5\nvalidation = 0.5"))
    return open_project(path)


def test_it_is_compared_with_the_incumbent_and_no_look_is_counted(opened, tmp_path):
    found = measured(opened, tmp_path, items=1000)
    assert len(found.differences) == found.of == len(found.groups) > 50
    assert found.against == "incumbent" and 0.4 < found.mean < 0.6 < found.incumbent_mean < 1
    assert set(found.differences) <= {-1.0, 0.0, 1.0} and found.seconds_per_request > 0
    with open_store(opened.store_url) as store:
        assert list(store.records(ItemLook)) == []


def test_a_first_part_is_asked_once(opened, tmp_path):
    first = measured(opened, tmp_path, items=20)
    whole = measured(opened, tmp_path, items=40)
    assert (len(first.differences), len(whole.differences)) == (20, 40)
    assert whole.differences[:20] == first.differences
    assert whole.latency.wall_seconds is None, "the first 20 were kept"


def test_what_learned_the_split_is_not_asked(opened):
    with bench(opened) as ready:
        (candidate,) = candidates(opened.config)
        judged = METHODS[candidate.method].make(candidate, ready).plan
        made = Made(plan=ServePlan(engine="encoder", model="learned", weights_path="gone"), judged=judged)
        assert len(measuring.measured(ready, candidate, made, items=20).differences) == 20


def test_without_answers_of_the_incumbent_it_is_compared_with_what_is_right(opened, tmp_path):
    path = opened.config_path
    path.write_text(path.read_text().replace('incumbent = "incumbent"\n', 'incumbent = "nothing"\n'))
    found = measured(open_project(path), tmp_path, items=1000)
    assert (found.against, found.incumbent_mean) == ("right", None)
    assert set(found.differences) == {-1.0, 0.0}


def test_how_sure_the_candidate_was_is_kept_by_signal():
    results = [
        EvalResult(sample_id=str(at), model="m", output="x", score=Score(value=1.0), signals=signals)
        for at, signals in enumerate(
            ({"mean_logprob": -0.5, "min_logprob": -1.0}, {}, {"mean_logprob": -0.1})
        )
    ]
    assert signal_columns(results) == {"mean_logprob": (-0.5, None, -0.1), "min_logprob": (-1.0, None, None)}
