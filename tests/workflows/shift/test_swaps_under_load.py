"""Generations are swapped under a real gateway's load, and `freehold up` is killed in between: nobody notices."""

import os
import signal
import time

import numpy as np
import pytest
from benchmarks.gateway.swaps import ROUTE, Served, echo, run
from safetensors.numpy import save_file
from tests.deferral_rules import one_tier
from tests.engines.encoder.tiny import tiny_encoder

from freehold.encoders.words import learn
from freehold.settings import load
from freehold.types.encoder import FieldHead
from freehold.workflows.project import now
from freehold.workflows.serve.encoder import plan_encoder
from freehold.workflows.shift import slots, swapping

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]
SWAPS = int(os.environ.get("FREEHOLD_SWAPS", "8"))
SURE, UNSURE = "refund please", "where is it"


@pytest.fixture
def served(tmp_path):
    made = []

    def begin(**more):
        made.append(Served(tmp_path, **more))
        made[-1].start()
        return made[-1]

    yield begin
    for one in made:
        one.close()


def test_every_answer_is_whole_of_one_generation(served):
    told = run(served(), swaps=SWAPS, rate=100)
    assert told.failed == [] and told.mixed == []
    summary = told.summary()
    assert summary["by_incumbent"] == 0 and summary["generations"] > SWAPS // 3


def student(folder, number):
    """A student of words, sure of one kind of request, whose labels bear its number."""
    field = FieldHead(name="", kind="one", labels=(f"g{number}", "other"))
    tiny_encoder(folder, fields=(field,), runs_on="words", words=True)
    words = learn([[SURE, SURE, UNSURE, UNSURE]])
    (folder / "words.json").write_bytes(words.as_json())
    rows = np.zeros((2, len(words.weights)), "f4")
    rows[0, words.known[0].index("=refund")] = 20
    save_file(
        {"0.weight": np.zeros((2, 0), "f4"), "0.bias": np.zeros(2, "f4"), "0.words": rows},
        folder / "heads.safetensors",
    )
    return plan_encoder(folder, f"words:{number}", load({}))


def test_no_answer_of_a_mixture_is_by_the_rule_of_another_generation(served, tmp_path):
    plans = {}

    def make(number):
        if number not in plans:
            plans[number] = student(tmp_path / f"student{number}", number)
        return plans[number]

    def rule(plan):
        return one_tier(model=plan.served_name, identity=plan.candidate_id(), incumbent="gpt-4o")

    running = served(make=make, rule=rule)
    told = run(running, swaps=5, rate=60, text=lambda number: SURE if number % 2 else UNSURE)
    assert told.failed == [] and told.mixed == []
    by_rule = {rule(plan).id: f"g{number}" for number, plan in plans.items()}
    said = {one.trace_id: one for one in told.answers}
    deadline = time.monotonic() + 30
    while len(traces := [one for one in running.store.latest_traces(9999) if one.id in said]) < len(said):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert len({one.deferral.rule_id for one in traces}) > 1
    for trace in traces:
        (word,) = said[trace.id].words
        assert trace.deferral.why in ("sure", "unsure")
        if trace.deferral.by == "candidate":
            assert word == by_rule[trace.deferral.rule_id] and trace.endpoint.startswith("local")
        else:
            assert word == "incumbent" == trace.endpoint


def eventually(claim, timeout_s=40.0):
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_killed_between_offer_and_ready_and_after_a_swap_the_next_start_serves_right(served):
    running = served()
    slot = swapping.offer(running.store, ROUTE, echo(1), 1, at=now())
    running.stop(signal.SIGKILL)
    running.start()
    ready = lambda: swapping.await_ready(running.store, slot, timeout_s=60) == "ready"  # noqa: E731
    eventually(ready)
    swapping.swap(running.store, ROUTE, slot, None, at=now(), who="test")
    running.stop(signal.SIGKILL)
    running.start()
    eventually(lambda: slots.are_held(running.store, "local", running.make(0), at=now()))
    assert slots.are_held(running.store, slot.endpoint, slot.plan, at=now())
    running.number = 1
    assert run(running, swaps=0, rate=50).summary()["by_incumbent"] == 0
    assert swapping.back(running.store, ROUTE, who="test", at=now(), why="as before").state == "rolled_back"
    told = run(running, swaps=0, rate=50)
    assert {word for one in told.answers[-20:] for word in one.words} == {"g0"} and told.failed == []
