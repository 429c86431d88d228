from collections import Counter
from datetime import UTC, datetime

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


def test_an_id_names_the_session_and_takes_in_what_has_none():
    found, _ = linked(trace("1", ["a"], "b", group="mine"), trace("2", ["a", "b", "c"], "d"))
    assert [one.sample.group for one in found] == ["mine", "mine"]


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
