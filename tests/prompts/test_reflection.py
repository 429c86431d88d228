"""GEPA, the library, with a model and proposers that are told what to do."""

import json
import subprocess
import sys

import pytest
from tests.prompts.modelled import ASKED, SYSTEM, SmallModel, samples

from freehold.prompts.checks import Checks
from freehold.prompts.leaks import LeakCheck
from freehold.prompts.measuring import PromptAnswer, SearchEndedError
from freehold.prompts.reflection import MINIBATCH, TEMPLATE, ReflectionPlan, reflect, shown

VALIDATION, TRAIN = samples(24), samples(30, prefix="t")
GOOD = "Sort mail of a shop. Answer with one JSON object with the fields queue and order."


class Proposer:
    """Answers in turn; the last answer again and again. An exception among them is raised."""

    def __init__(self, *replies):
        self.replies, self.asked = list(replies), []

    def __call__(self, text, ids, *, current):
        assert current in text
        self.asked.append((text, tuple(ids)))
        reply = self.replies[min(len(self.asked), len(self.replies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        return reply


def block(prompt):
    return f"It writes sentences.\n```\n{prompt}\n```"


def plan(propose, *, model=None, most=6, seed=0, form=None):
    leaks = LeakCheck([("train", TRAIN), ("validation", VALIDATION)], [SYSTEM, "queue", "order"])
    return ReflectionPlan(
        asked=ASKED,
        start=ASKED.preparation(),
        train=TRAIN,
        validation=VALIDATION,
        measure=model or SmallModel(),
        propose=propose,
        checks=Checks(SYSTEM, leaks, lambda text: None),
        most_proposals=most,
        form=form,
        seed=seed,
    )


def test_a_proposal_that_helps_is_kept_and_measured_on_all_samples():
    proposer = Proposer(block("Be kind to people who write."), block(GOOD))
    planned = plan(proposer)
    found = reflect(planned)
    (kept,) = found.trials
    assert (kept.name, kept.preparation.system) == ("proposal 2", GOOD)
    assert (kept.samples, kept.malformed, kept.complete) == (24, 0, True)
    assert kept.preparation.system_was == SYSTEM
    assert found.stopped is None
    assert len(planned.checks.proposals) <= 6


def test_the_proposer_is_shown_the_prompt_some_training_answers_and_what_is_wrong_with_them():
    proposer = Proposer(block(GOOD))
    reflect(plan(proposer))
    text, ids = proposer.asked[0]
    assert SYSTEM in text and "The form is wrong: not_json" in text and "Wanted: " in text
    assert len(ids) == MINIBATCH and set(ids) <= {one.id for one in TRAIN}
    assert not any(one.messages[-1].content in text for one in VALIDATION)
    assert "<curr_param>" in TEMPLATE and "<side_info>" in TEMPLATE and "<curr_param>" not in text
    assert "<form>" not in text and "What the application expects" not in text


def test_the_proposer_is_told_the_form_of_the_answers_where_it_is_known():
    proposer = Proposer(block(GOOD))
    reflect(plan(proposer, form="Answer with one JSON object:\n```\n{}\n```"))
    assert "What the application expects:\nAnswer with one JSON object:" in proposer.asked[0][0]
    assert proposer.asked[0][0].count("```") == 4, "a fence in it would end the block it stands in"


def test_refused_proposals_are_counted_and_never_measured():
    leaking = block(f"Answer with JSON. {VALIDATION[5].messages[-1].content}")
    model = SmallModel()
    planned = plan(Proposer("no idea", block(""), leaking, block(SYSTEM)), model=model, most=5)
    found = reflect(planned)
    assert found.trials == []
    assert [one.refused for one in planned.checks.proposals] == [
        "no_block", "empty", "leak", "unchanged", "unchanged",
    ]  # fmt: skip
    assert {asked for asked, _ in model.asked} == {ASKED.preparation().id}


@pytest.mark.parametrize("most", [1, 3, 9])
def test_no_more_is_proposed_or_asked_than_was_planned(most):
    model, proposer = SmallModel(), Proposer(*[block(f"Try number {n} of JSON.") for n in range(20)])
    planned = plan(proposer, model=model, most=most)
    reflect(planned)
    assert len(proposer.asked) <= most
    assert len(model.asked) <= planned.most_requests


def test_a_proposer_that_dies_ends_the_search_with_what_was_found():
    proposer = Proposer(block(GOOD), SearchEndedError("the proposer answers nothing any more"))
    found = reflect(plan(proposer))
    assert [one.preparation.system for one in found.trials] == [GOOD]
    assert found.stopped == "the proposer answers nothing any more"
    assert len(proposer.asked) == 2, "it is not asked again"


def test_a_budget_that_ends_among_the_answers_leaves_what_was_found():
    inner, count = SmallModel(), []

    def measure(preparation, some, *, name):
        count.extend(some)
        if len(count) > 100:
            raise SearchEndedError("the budget: spent")
        return inner(preparation, some, name=name)

    found = reflect(plan(Proposer(block(GOOD), block("Something else entirely.")), model=measure, most=50))
    assert found.stopped == "the budget: spent"
    assert [one.preparation.system for one in found.trials] == [GOOD]


def test_what_breaks_on_our_side_is_not_hidden():
    def broken(preparation, some, *, name):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        reflect(plan(Proposer(block(GOOD)), model=broken))


def test_all_right_ends_it():
    found = reflect(plan(Proposer(block(GOOD)), model=SmallModel(skill=10), most=50))
    assert "every answer" in found.stopped and found.trials[0].score == 1.0


def test_the_same_seed_and_answers_give_the_same_search():
    replies = [block(f"Prompt {n}: answer with JSON, please.") for n in range(5)]
    first, second = Proposer(*replies), Proposer(*replies)
    assert reflect(plan(first, seed=7)) == reflect(plan(second, seed=7))
    assert first.asked == second.asked
    other = Proposer(*replies)
    reflect(plan(other, seed=8))
    assert other.asked != first.asked


def test_an_answer_is_shown_short_without_a_fence_and_right_where_it_is():
    sample = samples(1)[0]
    right = shown(PromptAnswer(sample, "ok", 1.0, None, True, 1))
    assert right["Feedback"] == "Right." and "Wanted" not in str(right)
    long = shown(PromptAnswer(sample, "```\n" + "x" * 5000, 0.0, None, False, 1))
    assert "```" not in long["Answer"] and len(long["Answer"]) == 1500
    assert shown(PromptAnswer(sample, "", 0.0, "wrong: queue", True, 1))["Answer"] == "(nothing)"


@pytest.mark.process
def test_it_works_without_what_only_the_library_s_own_clients_need():
    """litellm is an extra of the library; here it cannot be imported, and nothing stands on stdout."""
    script = (
        "import sys; sys.modules['litellm'] = None\n"
        "from tests.prompts.test_reflection import GOOD, Proposer, block, plan, reflect\n"
        "import json; sys.stderr.write(json.dumps([one.name for one in reflect(plan(Proposer(block(GOOD)))).trials]))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True
    )
    assert ran.stdout == "" and json.loads(ran.stderr.splitlines()[-1]) == ["proposal 1"]
