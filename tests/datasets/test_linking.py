from collections import Counter
from datetime import UTC, datetime

from freehold.datasets.identity import question_id
from freehold.datasets.linking import linked_samples
from freehold.datasets.recipe import Recipe
from freehold.types.trace import Trace


def trace(name, said, answer, *, group=None, hour=0, **changes):
    roles = ["user", "assistant"] * len(said)
    return Trace(
        id=name,
        at=datetime(2026, 1, 1, hour, tzinfo=UTC),
        source="test",
        model="m",
        request={"messages": [{"role": r, "content": s} for r, s in zip(roles, said, strict=False)]},
        response=None
        if answer is None
        else {"choices": [{"message": {"role": "assistant", "content": answer}}]},
        conversation_id=group,
        **changes,
    )


def linked(*traces, **recipe):
    dropped = Counter()
    return list(linked_samples(traces, Recipe(**recipe), dropped)), dropped


def test_a_session_is_named_after_its_first_sample():
    found, _ = linked(trace("2", ["a", "b", "c"], "d"), trace("1", ["a"], "b"), trace("3", ["x"], "y"))
    first = question_id(found[1].sample.messages)
    assert [one.sample.group for one in found] == [first, first, None]
    assert [one.step for one in found] == [True, True, False]


def test_an_id_names_the_session_and_takes_in_what_has_none():
    found, _ = linked(trace("1", ["a"], "b", group="mine"), trace("2", ["a", "b", "c"], "d"))
    assert [one.sample.group for one in found] == ["mine", "mine"]


def test_a_right_answer_links_where_no_answer_was_recorded():
    found, _ = linked(trace("1", ["a"], None, gold="b"), trace("2", ["a", "b", "c"], "d"))
    assert found[0].sample.group == found[1].sample.group is not None


def test_groups_of_another_field_win_and_say_nothing_of_steps():
    found, _ = linked(
        trace("1", ["a"], "b", user="ada"), trace("2", ["a", "b", "c"], "d", user="ada"), group_by="user"
    )
    assert [(one.sample.group, one.step) for one in found] == [("ada", False)] * 2


def test_what_holds_no_sample_is_counted():
    bad = trace("1", ["a"], "b")
    bad.request["messages"] = [{"role": "user"}]
    found, dropped = linked(bad, trace("2", ["a"], None))
    assert found == [] and dropped == {"messages not as the chat API spells them": 1, "no answer": 1}


def test_a_conversation_is_in_the_period_it_began_in():
    found, _ = linked(
        trace("1", ["a", "b", "c"], "d", hour=2),
        trace("2", ["a"], "b", hour=1),
        trace("3", ["x"], "y", hour=2),
        trace("4", ["p"], "q", hour=3, group="named"),
        trace("5", ["r"], "s", hour=4, group="named"),
        group_by="hour",
    )
    assert [one.sample.group[-2:] for one in found] == ["01", "01", "02", "03", "03"]
    assert [one.step for one in found] == [True, True, False, True, True]
