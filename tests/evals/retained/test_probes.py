from collections import Counter

import pytest

from freehold.evals.retained import probes
from freehold.types.retained import SKILLS


def test_the_set_is_200_different_requests_each_skill_with_its_share():
    every = probes(1000)
    assert len(every) == len({one.id for one in every}) == len({one.ask for one in every}) == 200
    assert Counter(one.skill for one in every) == {"no_tool": 40, "refusal": 40, "format": 60, "chat": 60}
    assert {one.id.rpartition("-")[0] for one in every} == set(SKILLS)


@pytest.mark.parametrize("count", [1, 4, 79, 80])
def test_a_part_has_the_skills_in_turn_and_is_always_the_same(count):
    part = probes(count)
    assert part == probes(200)[:count]
    shares = Counter(one.skill for one in part).values()
    assert len(part) == count and max(shares) - min(shares) <= 1


def test_every_probe_can_be_failed():
    """A check that nothing can fail would measure nothing."""
    for one in probes(200):
        wanted = {name: value for name in one.check.__struct_fields__ if (value := getattr(one.check, name))}
        assert wanted or one.check.calls is False, one.id


def test_tools_are_offered_where_none_should_be_called():
    for one in probes(200):
        sample = one.sample()
        assert (sample.tools is not None) == (one.skill == "no_tool")
        assert sample.messages[0].content == one.ask
