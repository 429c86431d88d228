from datetime import UTC, datetime

from msgspec import structs

from freehold.datasets.tasks.asked import asked_task
from freehold.datasets.tasks.selecting import fits, is_selected
from freehold.types.config import DataConfig
from freehold.types.config.matching import MatchConfig
from freehold.types.trace import Trace


def asks(said="hello there", system=None, **more):
    turns = [] if system is None else [{"role": "system", "content": system}]
    return {"model": "m", "messages": [*turns, {"role": "user", "content": said}], **more}


def test_each_key_narrows():
    asked = asked_task(asks("Text: hello", "Sort it."))
    assert fits(MatchConfig(system=(), user=("Text:",)), asked)
    assert fits(MatchConfig(model="m", tools=(), form="text", system=("Sort it.",)), asked)
    for other in (
        MatchConfig(system=(), model="other"),
        MatchConfig(system=(), tools=("find",)),
        MatchConfig(system=(), form="json_object"),
        MatchConfig(system=("Write",)),
        MatchConfig(system=(), user=("Label:",)),
        MatchConfig(system=(), without=(("Text:",),)),
        MatchConfig(),
        MatchConfig(system=(), kind="completions"),
    ):
        assert not fits(other, asked), other


def test_any_tools_or_none_at_all():
    offered = asked_task(asks(tools=[{"type": "function", "function": {"name": "find"}}]))
    assert fits(MatchConfig(tools=("*",)), offered) and fits(MatchConfig(tools=("find",)), offered)
    assert not fits(MatchConfig(tools=()), offered)
    assert not fits(MatchConfig(tools=("*",)), asked_task(asks()))


def trace(**more):
    return Trace(
        id="1",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        source="test",
        model="m",
        request=asks(**more),
        response=None,
    )


def test_one_of_several_is_enough_and_none_selects_all():
    assert is_selected(trace(), DataConfig())
    assert is_selected(trace(), DataConfig(match=(MatchConfig(user=("bye",)), MatchConfig(user=("hello",)))))
    assert not is_selected(trace(), DataConfig(match=(MatchConfig(model="other"),)))


def test_the_projects_own_instruction_does_not_count():
    data = DataConfig(match=(MatchConfig(user=("hello",)),))
    assert not is_selected(trace(system="Sort  it."), data)
    assert is_selected(trace(system="Sort  it."), structs.replace(data, system="Sort it."))
