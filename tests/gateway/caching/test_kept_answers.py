import msgspec
import pytest

from freehold.gateway.caching.kept_answers import ANSWER_BYTES_MAX, KeptAnswer, KeptAnswers
from freehold.gateway.http.memory import MemoryBudget
from freehold.types.endpoint import Endpoint
from freehold.types.route import CacheTerms

ENDPOINT = Endpoint(name="incumbent", engine="remote", base_url="http://x")
TERMS = CacheTerms()
MIB = 2**20


def answer(data=b"{}", *, at=0.0):
    return KeptAnswer(
        endpoint=ENDPOINT,
        arm="incumbent",
        content_type="application/json",
        content_encoding=None,
        hides_usage=False,
        chunks=(data,),
        kept_s=at,
        until_s=at + 10,
    )


@pytest.fixture
def memory():
    return MemoryBudget(8 * MIB)


@pytest.fixture
def kept(memory):
    return KeptAnswers(memory)


def found(kept, key, *, version=b"1", now_s=1.0):
    answer = kept.find("r", version, key, now_s=now_s)
    return None if answer is None else answer.chunks[0]


def test_what_is_kept_is_found_until_its_time_is_over(kept, memory):
    assert kept.keep("r", b"1", b"a", answer(b"x"), TERMS)
    assert found(kept, b"a") == b"x" and found(kept, b"b") is None
    assert memory.used_bytes == kept.held_bytes > 0
    assert found(kept, b"a", now_s=10.0) is None and kept.held_bytes == memory.used_bytes == 0


def test_the_newest_answer_counts(kept):
    kept.keep("r", b"1", b"a", answer(b"x"), TERMS)
    size = kept.held_bytes
    kept.keep("r", b"1", b"a", answer(b"y"), TERMS)
    assert found(kept, b"a") == b"y" and kept.held_bytes == size


def test_another_version_finds_nothing_and_leaves_nothing(kept, memory):
    kept.keep("r", b"1", b"a", answer(), TERMS)
    assert found(kept, b"a", version=b"2") is None and memory.used_bytes == 0
    kept.keep("r", b"2", b"a", answer(), TERMS)
    kept.keep("s", b"1", b"a", answer(), TERMS)
    kept.retain({"r": b"2"})
    assert found(kept, b"a", version=b"2") == b"{}" and kept.find("s", b"1", b"a", now_s=0) is None
    kept.retain({})
    assert memory.used_bytes == 0


def test_a_damaged_answer_is_none(kept):
    kept.keep("r", b"1", b"a", answer(b"x"), TERMS)
    sound = kept.find("r", b"1", b"a", now_s=0)
    broken = msgspec.structs.replace(sound, chunks=(b"y",))
    assert sound.is_sound and not broken.is_sound
    kept._routes["r"].answers[b"a"] = broken
    assert found(kept, b"a") is None and kept.held_bytes == 0


def test_the_oldest_make_room(kept):
    terms = CacheTerms(mib=0.01)
    for number in range(8):
        assert kept.keep("r", b"1", bytes([number]), answer(b"x" * 2000), terms)
    assert [found(kept, bytes([n])) is not None for n in range(8)] == [False] * 5 + [True] * 3
    assert not kept.keep("r", b"1", b"long", answer(b"x" * 11_000), terms)
    assert not kept.keep("r", b"1", b"long", answer(b"x" * (ANSWER_BYTES_MAX + 1)), TERMS)


def test_all_routes_together_take_a_quarter_and_give_way_to_requests(kept, memory):
    for number in range(40):
        assert kept.keep(f"r{number % 3}", b"1", bytes([number]), answer(b"x" * 200_000), TERMS)
    assert MIB < kept.held_bytes <= 2 * MIB
    assert memory.take(MIB) and memory.take(MIB) and memory.take(MIB) and memory.take(MIB)
    assert memory.take(MIB) and memory.take(MIB) and memory.take(MIB), "where kept answers were"
    assert 0 < kept.held_bytes <= MIB and memory.used_bytes <= 8 * MIB


def test_no_room_at_all_keeps_nothing(kept, memory):
    memory.force(8 * MIB)
    assert not kept.keep("r", b"1", b"a", answer(), TERMS) and memory.used_bytes == 8 * MIB


def test_sweeping_forgets_what_nobody_asks_for_again(kept, memory):
    for at in (0.0, 5.0):
        kept.keep("r", b"1", b"%d" % at, answer(at=at), TERMS)
    kept.sweep(now_s=12.0)
    assert found(kept, b"0") is None and found(kept, b"5") == b"{}"
    kept.sweep(now_s=15.0)
    assert memory.used_bytes == 0
