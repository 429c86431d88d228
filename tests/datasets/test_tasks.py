import random
from collections import Counter
from datetime import UTC, datetime

import pytest
from benchmarks.mixed_log import complaint, mixed_log
from msgspec import structs
from tests.datasets.agent_log import agent_log

from freehold.datasets.tasks import (
    ANY_TOOLS,
    HEAD_CHARACTERS,
    MOST_SHAPES,
    TAIL_CHARACTERS,
    Grouper,
    asked_task,
    collapsed,
    fits,
    is_selected,
)
from freehold.types.config import DataConfig, MatchConfig
from freehold.types.trace import Trace
from freehold.workflows.journey.log_tasks import skeleton


def asks(**more):
    turns = [{"role": "system", "content": "Sort  it.\n\n Now."}, {"role": "user", "content": "hello"}]
    return asked_task({"model": "m", "messages": turns, **more})


def test_texts_are_collapsed_and_instructions_told_from_turns():
    asked = asks()
    assert (asked.system, asked.user) == ("Sort it.\nNow.", "hello")
    assert asked.shape.instructed and asked.shape.model == "m" and asked.shape.form == "text"


def test_schemas_differ_by_name_else_by_content():
    def form(schema):
        return asks(response_format={"type": "json_schema", "json_schema": schema}).shape.form

    assert form({"name": "ticket", "schema": {}}) == "ticket"
    assert form({"schema": {"a": 1}}) != form({"schema": {"a": 2}})
    assert asks(response_format={"type": "json_object"}).shape.form == "json_object"


def test_a_picture_is_a_short_mark_and_a_long_text_keeps_its_ends():
    picture = "data:image/png;base64," + "QUJD" * 5000
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": picture}}]
    assert len(asked_task({"messages": [{"role": "user", "content": parts}]}).user) < 100
    long = collapsed("begin " + "middle " * 1_000_000 + "end")
    assert len(long) == HEAD_CHARACTERS + 1 + TAIL_CHARACTERS
    assert long.startswith("begin") and long.endswith("end")


def test_completions_and_embeddings_are_asked_by_their_text():
    assert asked_task({"prompt": "Once upon"}, kind="completions").user == "Once upon"
    assert asked_task({"input": ["a text", "another"]}, kind="embeddings").user == "a text"
    assert asked_task({"input": [[1, 2]]}, kind="embeddings").user == ""


def asks_of_selecting(said="hello there", system=None, **more):
    turns = [] if system is None else [{"role": "system", "content": system}]
    return {"model": "m", "messages": [*turns, {"role": "user", "content": said}], **more}


def test_each_key_narrows():
    asked = asked_task(asks_of_selecting("Text: hello", "Sort it."))
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
    offered = asked_task(asks_of_selecting(tools=[{"type": "function", "function": {"name": "find"}}]))
    assert fits(MatchConfig(tools=("*",)), offered) and fits(MatchConfig(tools=("find",)), offered)
    assert not fits(MatchConfig(tools=()), offered)
    assert not fits(MatchConfig(tools=("*",)), asked_task(asks_of_selecting()))


def trace(**more):
    return Trace(
        id="1",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        source="test",
        model="m",
        request=asks_of_selecting(**more),
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


def grouped(requests):
    asked = [asked_task(request) for request in requests]
    grouper = Grouper()
    for one in asked:
        grouper.learn(one)
    grouper.learned()
    return grouper, asked, [grouper.group_of(one) for one in asked]


def offering(*names):
    return [{"type": "function", "function": {"name": name}} for name in names]


def test_an_agents_log_is_parted_by_its_prompts_although_they_hold_the_time():
    calls = agent_log()
    _, _, numbers = grouped([call.record["request"] for call in calls])
    prompts = [call.record["request"]["messages"][0]["content"][:20] for call in calls]
    assert len(set(zip(prompts, numbers, strict=True))) == len(set(numbers)) == len(set(prompts)) == 3


@pytest.mark.parametrize("seed", range(6))
def test_what_selects_a_group_selects_its_requests_and_no_others(seed):
    grouper, asked, numbers = grouped([one.request for one in mixed_log(seed, requests=300)])
    selecting = [grouper.match(number) for number in range(len(grouper.groups))]
    for one, number in zip(asked, numbers, strict=True):
        assert [other for other, match in enumerate(selecting) if fits(match, one)] == [number]


def test_tools_that_differ_from_request_to_request_are_one_group():
    draw = random.Random(1)
    requests = [
        {"messages": [{"role": "user", "content": complaint(draw)}], "tools": offering(f"tool_{number}")}
        for number in range(MOST_SHAPES + 100)
    ]
    grouper, _, numbers = grouped(requests)
    assert len(set(numbers)) == 1 and grouper.groups[0].shape.tools == ANY_TOOLS


def test_a_later_step_that_offers_no_tools_is_of_the_agents_task():
    turns = [
        {"role": "system", "content": "You book flights for people."},
        {"role": "user", "content": "to Rome"},
    ]
    called = {
        "role": "assistant",
        "tool_calls": [{"id": "1", "function": {"name": "find", "arguments": "{}"}}],
    }
    last = {"messages": [*turns, called, {"role": "tool", "tool_call_id": "1", "content": "10:05"}]}
    _, _, numbers = grouped([{"messages": turns, "tools": offering("find")}] * 9 + [last] * 3)
    assert len(set(numbers)) == 1


def test_what_no_template_fits_is_a_group_of_its_own():
    draw = random.Random(4)
    requests = [{"messages": [{"role": "system", "content": "Sort the message into one queue."},
                              {"role": "user", "content": complaint(draw)}]} for _ in range(20)]  # fmt: skip
    odd = {
        "messages": [
            {"role": "system", "content": "Something else entirely"},
            {"role": "user", "content": "x"},
        ]
    }
    grouper, _, numbers = grouped([*requests, odd])
    assert Counter(numbers) == {0: 20, 1: 1}
    assert skeleton(grouper.groups[1]) == ""


def test_a_slot_is_shown_as_one_and_an_edited_prompt_is_the_same():
    said = [f"Sort the mail of {name} into one of our queues.{end}" for name in ("Ada", "Ivo", "Eve")
            for end in ("", " Be brief.")]  # fmt: skip
    grouper, _, numbers = grouped(
        {"messages": [{"role": "system", "content": one}, {"role": "user", "content": "x"}]}
        for one in said * 6
    )
    assert set(numbers) == {0}
    assert skeleton(grouper.groups[0]) == "Sort the mail of{…}into one of our queues."
