import random

import msgspec
import pytest
from tests.store.examples import trace

from freehold.store.damage import DamagedBody, pack_lines, read_json, seal, unpack_lines, unseal


def test_a_trace_comes_back_and_takes_less():
    long = trace(1, request={"messages": [{"role": "user", "content": "where is my parcel? " * 500}]})
    lines = [msgspec.json.encode(one) for one in (long, trace(2))]
    packed = pack_lines(lines, 5)
    assert unpack_lines(packed, 5) == lines
    assert len(packed) < 1000
    with pytest.raises(DamagedBody, match="checksum"):
        unpack_lines(packed, 6)


def test_ten_thousand_of_ten_thousand_flipped_bits_in_traces_are_noticed():
    chance = random.Random(3)
    words = ("refund", "my", "order")
    unnoticed = 0
    for _ in range(10_000):
        text = " ".join(chance.choice([*words, str(chance.random())]) for _ in range(60))
        body = bytearray(pack_lines([text.encode()], 1))
        body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        try:
            unpack_lines(bytes(body), 1)
            unnoticed += 1
        except DamagedBody:
            pass
    assert unnoticed == 0


@pytest.mark.parametrize("content", [b'{"a":"b"}', b"[]", b'"text"', b"0.25", b"null"])
def test_every_single_bit_of_other_bodies_is_noticed(content):
    stored = seal(content, "records", "note/a")
    assert unseal(stored, "records", "note/a") == content
    for place in range(len(stored) * 8):
        body = bytearray(stored)
        body[place // 8] ^= 1 << place % 8
        with pytest.raises(DamagedBody):
            unseal(bytes(body), "records", "note/a")


def test_a_body_of_another_row_is_not_taken():
    with pytest.raises(DamagedBody, match="checksum"):
        unseal(seal(b"{}", "records", "note/a"), "records", "note/b")


@pytest.mark.parametrize("stored", [b"", b"\x01\x02", b"\x28\xb5\x2f\xfd broken", "text"])
def test_what_was_never_a_body_is_said_to_be_damaged(stored):
    with pytest.raises(DamagedBody):
        unpack_lines(stored, 1)
    with pytest.raises(DamagedBody):
        read_json(stored, dict, "any")
