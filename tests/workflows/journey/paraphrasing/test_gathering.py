"""Paraphrases asked of a scripted endpoint over HTTP."""

import json
from collections import Counter
from decimal import Decimal

import pytest
from tests.workflows.journey.paraphrasing.writer import WORDS, fresh, planned, project, true_label

from freehold.datasets import building
from freehold.errors import UpstreamError
from freehold.evals.chat.chat_client import Patience
from freehold.types.progress import Silent
from freehold.workflows.journey.paraphrasing import gather

QUICK = Patience(attempts=1)


class Watched(Silent):
    def __init__(self):
        self.updates = []

    def update(self, done, total, *, unit="", note=""):
        self.updates.append((done, total, note))


def gathered(plan, progress=None):
    return gather(plan, progress=progress or Silent(), patience=QUICK)


def test_rare_classes_are_written_for_and_keep_their_label(tmp_path, writer):
    model, progress = writer(), Watched()
    opened, dataset = project(tmp_path, model.url)
    found = gathered(planned(opened, dataset), progress)
    assert Counter(one.target for one in found.samples) == {"card_lost": 10, "pin_blocked": 10}
    assert all(WORDS[one.target] in one.messages[-1].content for one in found.samples)
    assert {one.metadata["made_by"] for one in found.samples} == {"writer"}
    sources = {one.metadata["paraphrase_of"] for one in found.samples}
    assert sources <= {one.id for one in building.samples(dataset, "train")}
    told = found.told
    assert (told.classes, told.written, told.kept, told.left_out, told.stopped) == (2, 20, 20, {}, None)
    assert told.requests == len(model.asked) == 4 + 2
    assert told.spent_usd > 0
    assert told.share == pytest.approx(20 / 60)
    assert progress.updates[-1][:2] == (4, 4)


def test_what_was_answered_is_not_asked_again(tmp_path, writer):
    model = writer()
    opened, dataset = project(tmp_path, model.url)
    first = gathered(planned(opened, dataset))
    asked = len(model.asked)
    assert gathered(planned(opened, dataset)) == first
    assert len(model.asked) == asked


def test_nonsense_is_not_paid_for_without_end(tmp_path, writer):
    model = writer(lambda text, number: "As a language model I would rather talk about the weather.")
    opened, dataset = project(tmp_path, model.url)
    found = gathered(planned(opened, dataset, per_class=100))
    assert (found.samples, found.told.kept) == ((), 0)
    assert "brought nothing to learn from" in found.told.stopped
    assert model.written == 16, "of forty"
    assert found.told.left_out == {"not the list that was asked for": 16}


def test_the_same_answer_again_and_again_is_one_message(tmp_path, writer):
    model = writer(lambda text, number: json.dumps([f"oh no: {WORDS[true_label(text)]} again today"] * 5))
    opened, dataset = project(tmp_path, model.url)
    found = gathered(planned(opened, dataset, per_class=100))
    assert Counter(one.target for one in found.samples) == {"card_lost": 1, "pin_blocked": 1}
    assert "brought nothing" in found.told.stopped
    assert found.told.left_out["nearly the same as another"] > 5


def test_a_message_whose_label_a_second_answer_does_not_give_is_left_out(tmp_path, writer):
    model = writer(label=lambda line: "card_lost")
    opened, dataset = project(tmp_path, model.url)
    found = gathered(planned(opened, dataset))
    assert {one.target for one in found.samples} == {"card_lost"}
    assert found.told.left_out == {"given another label by a second answer": 10}


def test_a_label_that_is_no_class_counts_as_none(tmp_path, writer):
    model = writer(label=lambda line: "nonsense")
    opened, dataset = project(tmp_path, model.url)
    found = gathered(planned(opened, dataset))
    assert found.samples == ()
    assert found.told.left_out == {"without a second answer": 20}


def test_what_is_held_out_or_taught_already_is_left_out(tmp_path, writer):
    opened, dataset = project(tmp_path)
    held = next(building.samples(dataset, "held_out")).messages[-1].content

    def write(text, number):
        return json.dumps([f"{held}!", text, f"{number} really: {WORDS[true_label(text)]} {number}"])

    model = writer(write)
    opened, dataset = project(tmp_path, model.url, near_duplicates=0.8)
    found = gathered(planned(opened, dataset))
    texts = [one.messages[-1].content for one in found.samples]
    assert texts and all("really" in text for text in texts)
    assert found.told.left_out["nearly the same as what is held out or chosen by"] >= 4
    assert not set(texts) & {one.messages[-1].content for one in building.samples(dataset, "train")}


def test_the_budget_of_requests_ends_it_and_what_was_checked_stays(tmp_path, writer):
    model = writer()
    opened, dataset = project(tmp_path, model.url)
    found = gathered(planned(opened, dataset, per_class=100, budget_requests=20))
    assert len(model.asked) == found.told.requests == 20
    assert found.told.stopped == "the budget: 20 requests are sent"
    assert 0 < found.told.kept <= 5 * model.written
    assert found.told.left_out.get("without a second answer", 0) > 0, (
        "written, and no request left to check it"
    )
    more = gathered(planned(opened, dataset, per_class=100, budget_requests=24))
    assert len(model.asked) == 24, "a larger budget goes on from there"
    assert more.told.kept > found.told.kept


def test_the_budget_in_dollars_is_never_exceeded(tmp_path, writer):
    model = writer()
    opened, dataset = project(tmp_path, model.url)
    found = gathered(
        planned(opened, dataset, per_class=100, budget_requests=None, budget_usd=Decimal("0.02"))
    )
    assert found.told.stopped.startswith("the budget: $0.0")
    assert found.told.spent_usd <= Decimal("0.02")
    assert 0 < len(model.asked) < 60


def test_an_endpoint_that_dies_is_told_and_a_later_run_goes_on(tmp_path, writer):
    def write(text, number):
        return fresh(text, number) if number <= 10 else None

    model = writer(write)
    opened, dataset = project(tmp_path, model.url)
    plan = planned(opened, dataset, per_class=100, budget_requests=400)
    with pytest.raises(UpstreamError, match="answers nothing any more"):
        gathered(plan)
    model.write = fresh
    before = model.written
    found = gathered(plan)
    assert found.told.kept >= 100
    assert model.written - before == len(plan.rounds) - 10, "the ten that were answered are not asked again"
