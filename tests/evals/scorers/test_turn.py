"""What an assistant does next, scored on every turn of an agent's log."""

import asyncio
import json
import random
from collections import Counter

import msgspec
import pytest
from tests.evals import agent_log
from tests.evals.scorers.conftest import score

from freehold.evals.comparing import SideBySide
from freehold.evals.scorer import ChatAnswer
from freehold.evals.scorers import make, score_all
from freehold.evals.task_comparison import compare_by_task
from freehold.types.dataset import Message, Sample
from freehold.types.evaluation import Task

SAMPLE = Sample(id="s", messages=(), tools=agent_log.TOOLS)
REFUND = json.dumps([agent_log.call("x", "refund", order_id="A1", amount=9.5)])


def calls(*made):
    return json.dumps(
        [agent_log.call(f"other{place}", name, **given) for place, (name, given) in enumerate(made)]
    )


@pytest.mark.parametrize(
    ("reference", "answer", "value", "code"),
    [
        (REFUND, calls(("refund", {"amount": 9.5, "order_id": "A1"})), 1.0, None),
        (REFUND, calls(("refund", {"order_id": "A1", "amount": 9.5, "reason": "other"})), 1.0, None),
        (REFUND, calls(("refund", {"order_id": "A1", "amount": 9.6})), 0.0, "wrong_value"),
        (REFUND, calls(("track", {"order_id": "A1"})), 0.0, "wrong_function"),
        (REFUND, calls(("erase", {"order_id": "A1"})), 0.0, "not_offered"),
        (REFUND, "Let me refund that for you.", 0.0, "no_call"),
        (REFUND, "[refund(order_id='A1', amount=9.5)]", 0.0, "call_as_text"),
        (REFUND, "I'm sorry, I can't help with that.", 0.0, "refused"),
        (REFUND, "", 0.0, "empty_answer"),
        (
            calls(("track", {"order_id": "A1", "carrier": "DHL"}), ("find_order", {"order_id": "A1"})),
            calls(("find_order", {"order_id": "A1"}), ("track", {"order_id": "A1", "carrier": "dhl"})),
            1.0,
            None,
        ),
        ("It is on its way.", "It is on its way.", 1.0, None),
        ("It is on its way.", "on its way", 0.75, "words"),
        ("It is on its way.", calls(("escalate", {"why": "x"})), 0.0, "unexpected_call"),
        ("I can't share that.", "I'm unable to share it, sorry.", 1.0, None),
        ("I can't share that.", "Sure: a lamp.", 0.0, "not_refused"),
        ("[]", "None of my tools can do that.", 1.0, None),
        ("[]", calls(("escalate", {"why": "x"})), 0.0, "unexpected_call"),
    ],
)
def test_each_kind_of_turn(reference, answer, value, code):
    given = score("turn", answer, reference, sample=SAMPLE)
    assert given.value == pytest.approx(value)
    assert (given.reason or "").partition(":")[0] == (code or "")


def test_broken_arguments_are_a_wrong_form():
    broken = REFUND.replace('9.5}"', '"')
    given = score("turn", broken, "words", sample=SAMPLE)
    assert (given.value, given.format_ok, given.reason.partition(":")[0]) == (0.0, False, "broken_call")


def test_texts_by_a_scorer_of_ones_choice():
    assert score("turn", "YES", "yes", text="label", text_options={"labels": ["yes", "no"]}).value == 1.0
    assert score("turn", "something else", "yes", text="any").value == 1.0
    assert make("turn", {"text": "exact"}).binary
    assert make("turn", {"text": "any"}).binary
    assert not make("turn").binary
    judge = make("turn", {"text": "judge", "text_options": {"base_url": "http://x", "model": "m"}})
    assert judge.at_once == 4
    assert not judge.right_by_agreement, "the judge grades the recorded text as it does any other"


def faithful(chance, reference):
    """The recorded turn under other ids, in another order, words one of four changed."""
    if reference.startswith("["):
        listed = [{**one, "id": f"n{chance.random()}"} for one in json.loads(reference)]
        chance.shuffle(listed)
        return json.dumps(listed)
    return reference.replace("order", "your order")


def eager(chance, reference):
    """A call on every turn."""
    return reference if reference.startswith("[") else calls(("escalate", {"why": "to be sure"}))


def results_of(model, told, samples):
    async def go():
        scorer = make("turn")
        chance = random.Random(1)
        answers = [ChatAnswer(output=told(chance, one.target)) for one in samples]
        return await score_all(scorer, model, samples, answers, [one.target for one in samples])

    return asyncio.run(go())


def test_a_model_that_calls_on_every_turn_stands_far_below_a_faithful_one():
    """Over the sessions of an agent's log, all turns scored: what `tool_call` cannot see is seen."""
    samples = [one for one in agent_log.samples() if one.target is not None]
    assert len(samples) > 400
    recorded = results_of("incumbent", lambda _, reference: reference, samples)
    good, bad = results_of("good", faithful, samples), results_of("eager", eager, samples)
    assert all(one.score.value is not None for results in (recorded, good, bad) for one in results)
    mean_good, mean_bad = (sum(one.score.value for one in r) / len(r) for r in (good, bad))
    assert mean_good > 0.9
    assert mean_good - mean_bad >= 0.4
    told = Counter((one.score.reason or "right").partition(":")[0] for one in bad)
    assert told["unexpected_call"] == sum(not one.target.startswith("[") for one in samples)
    references = [one.target for one in samples]
    sides = SideBySide(samples, references, recorded, bad, "incumbent", "eager")
    task = Task(name="t", scorer="turn", margin=0.05, slices=("turn",))
    compared = asyncio.run(compare_by_task(sides, task)).comparison
    assert compared.verdict == "reject"
    assert compared.n == compared.n_items == len(samples)
    assert compared.n_groups == len({one.group for one in samples})
    slices = {one.name: one for one in compared.slices}
    kinds = {name for name in slices if name.startswith("turn=")}
    assert kinds == {"turn=call", "turn=parallel calls", "turn=refusal", "turn=text"}
    assert slices["turn number=1"].n == sum(len(one.messages) == 2 for one in samples)
    assert slices["turn=text"].difference == -1.0
    assert slices["turn=call"].difference == 0.0
    assert any("unexpected_call" in note for note in compared.notes)
    assert any("knows nothing of meaning" in note for note in compared.notes)


def test_slices_are_by_what_was_wanted_and_only_where_it_differs():
    two = [msgspec.structs.replace(SAMPLE, id=name) for name in "ab"]
    own = make("turn").own_slices
    assert own({}, two, [REFUND, "words"]) == {"turn": ["call", "text"]}
    assert own({}, two, [REFUND, REFUND]) == {}
    assert own({}, two, [REFUND, None]) == {}
    later = msgspec.structs.replace(SAMPLE, messages=(Message(role="assistant", content="x"),))
    assert own({}, [SAMPLE, later], ["a", "b"]) == {"turn number": ["1", "2"]}
