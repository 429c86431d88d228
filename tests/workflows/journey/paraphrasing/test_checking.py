import pytest
from tests.workflows.journey.paraphrasing.writer import CLASSES, one, planned, project

from freehold.workflows.journey.paraphrasing.checking import Checker, label_asks, labels_in


@pytest.mark.parametrize(
    ("output", "labels"),
    [
        ("[1, 3]", ["card lost", "top up failed"]),
        ('Here you are: ["2", "card_lost"]', ["pin blocked", "card lost"]),
        ("[0, 4]", [None, None]),
        ("[true, 1.5]", [None, None]),
        ("[1]", [None, None]),
        ("1, 2", [None, None]),
        ('{"1": 2}', [None, None]),
    ],
)
def test_labels_are_read_by_number_or_name_or_not_at_all(output, labels):
    assert labels_in(output, ["card lost", "pin blocked", "top up failed"], 2) == labels


def test_a_question_for_labels_does_not_show_what_a_message_was_written_after(tmp_path):
    plan = planned(*project(tmp_path))
    checker = Checker(plan.classes, plan.judged, 0.0, 10)
    made = checker.candidates([(plan.rounds[0], '["where did my card go", "card gone since noon"]')])
    ((ask, some),) = label_asks(plan.asked, plan.classes, made)
    system, user = (message["content"] for message in ask.body["messages"])
    assert {sample.id for sample in some} == {sample.id for sample in made}
    assert plan.rounds[0].sample.messages[-1].content not in system
    assert all(label in system for label in CLASSES)
    assert "card_lost" not in user
    assert ask.body["temperature"] == 0.0


def test_no_more_than_were_asked_for_and_none_far_longer_than_its_source(tmp_path):
    plan = planned(*project(tmp_path))
    checker = Checker(plan.classes, plan.judged, 0.0, 1)
    source = plan.rounds[0]
    made = checker.candidates([(source, f'["one card is gone", "another card is gone", "{"long " * 200}"]')])
    checker.take(made, ["card lost", "card lost"])
    assert [sample.messages[-1].content for sample in checker.kept] == ["one card is gone"]
    assert checker.left_out == {"longer than a message of its kind": 1, "more than were asked for": 1}
    assert checker.kept[0].gold == one("card_lost", 0).gold
    assert checker.kept[0].id != source.sample.id
