import random
from collections import Counter

import pytest
from benchmarks.mixed_log import complaint, mixed_log
from tests.datasets.agent_log import agent_log

from freehold.datasets.tasks import ANY_TOOLS, MOST_SHAPES, Grouper, asked_task, fits
from freehold.workflows.journey.log_tasks import skeleton


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
