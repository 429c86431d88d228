"""The messages between worker and recorder, cut anywhere on their way."""

from hypothesis import given
from hypothesis import strategies as st

from freehold.gateway.capture.frames import ACK, TRACE, USE, FrameReader, ack, ack_counts, frame


@given(
    st.lists(st.tuples(st.sampled_from([TRACE, USE, ACK]), st.binary(max_size=300)), max_size=8),
    st.lists(st.integers(1, 400), max_size=20),
)
def test_messages_arrive_whole_however_they_are_cut(messages, sizes):
    data = b"".join(frame(tag, payload) for tag, payload in messages)
    reader, found = FrameReader(), []
    for size in [*sizes, len(data)]:
        found += reader.feed(data[:size])
        data = data[size:]
    assert found == messages


def test_a_message_of_one_byte_at_a_time():
    reader = FrameReader()
    data = frame(TRACE, b"x" * 20) + frame(USE, b"")
    assert [found for byte in data for found in reader.feed(bytes([byte]))] == [
        (TRACE, b"x" * 20),
        (USE, b""),
    ]


def test_an_acknowledgement_says_what_and_how_many():
    ((tag, payload),) = FrameReader().feed(ack(USE, 70_000, 2))
    assert tag == ACK and ack_counts(payload) == (USE, 2, 70_000)
