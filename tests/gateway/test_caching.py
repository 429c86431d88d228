"""The memory of kept answers: found again, within time and room, forgotten with its route."""

import pytest

from freehold.gateway.caching import ANSWER_BYTES_MAX, KeptAnswer, KeptAnswers
from freehold.gateway.http.memory import HeldBytes, MemoryBudget
from freehold.types.endpoint import Endpoint

ENDPOINT = Endpoint(name="incumbent", engine="remote", base_url="http://127.0.0.1:1")
MIB = 2**20


@pytest.fixture
def memory():
    return MemoryBudget(8 * MIB)


@pytest.fixture
def answers(memory):
    return KeptAnswers(memory)


def answer(size=1_000, *, until_s=60.0):
    return KeptAnswer(ENDPOINT, "incumbent", "application/json", None, False, (b"x" * size,), 0.0, until_s)


def kept(answers, key, size=1_000, *, version=b"v", most_bytes=MIB, until_s=60.0):
    return answers.keep(version, key, answer(size, until_s=until_s), most_bytes=most_bytes)


def found(answers, *keys, version=b"v", now_s=1.0):
    return [answers.find(version, key, now_s=now_s) is not None for key in keys]


def test_an_answer_is_found_until_its_time_is_over(answers, memory):
    assert kept(answers, b"a", until_s=10.0) and kept(answers, b"b", until_s=20.0)
    assert found(answers, b"a", b"b", b"c", now_s=10.0) == [False, True, False]
    answers.sweep(now_s=10.0)
    assert 0 < memory.used_bytes == answers.held_bytes == answer().size_bytes
    answers.sweep(now_s=20.0)
    assert memory.used_bytes == 0


def test_a_route_that_changes_loses_its_answers(answers, memory):
    kept(answers, b"a", version=b"old")
    kept(answers, b"a", version=b"new")
    answers.retain([b"new"])
    assert found(answers, b"a", version=b"old") == [False] and found(answers, b"a", version=b"new") == [True]
    assert memory.used_bytes == answer().size_bytes


def test_the_oldest_make_room_within_a_route_and_for_all(answers, memory):
    for key in (b"a", b"b", b"a", b"c"):
        kept(answers, key, most_bytes=2 * answer().size_bytes)
    assert found(answers, b"a", b"b", b"c") == [True, False, True]
    assert not kept(answers, b"d", ANSWER_BYTES_MAX + 1) and not kept(answers, b"d", most_bytes=1_000)
    for number in range(40):  # 200 kB each, and a quarter of the budget for all
        assert kept(answers, b"%d" % number, 200_000, version=b"%d" % (number % 3), most_bytes=64 * MIB)
    assert memory.used_bytes == answers.held_bytes <= 2 * MIB


def test_answers_give_way_to_requests(answers, memory):
    kept(answers, b"a", 200_000)
    requests = HeldBytes(memory)
    while requests.take(MIB - 1_000):
        pass
    assert answers.held_bytes == 0 and found(answers, b"a") == [False]
    assert not kept(answers, b"b", 200_000), "there is no room, and nothing to forget"
