"""What is read of a request: the same text as in training, and JSON that other readers would have taken."""

from hypothesis import example, given
from hypothesis import strategies as st

from freehold.engines.encoder.requests import read_chat, read_json
from freehold.types.encoder import EncoderManifest, FieldHead
from freehold.wire.errors import ApiError

MANIFEST = EncoderManifest(
    base_model="b",
    base_sha256="0",
    width=2,
    answer="label",
    fields=(FieldHead(name="", kind="one", labels=("a",)),),
)


def test_the_users_last_message_is_read():
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Sort it."},
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "a"},
            {"role": "user", "content": [{"type": "text", "text": "last"}]},
        ],
    }
    assert MANIFEST.texts_of(read_chat(body).conversation) == ("last",)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["role", "content", "type", "text", "model"]), inner, max_size=3
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(
        [
            "messages",
            "stop",
            "tools",
            "n",
            "max_tokens",
            "logprobs",
            "top_logprobs",
            "response_format",
            "stream_options",
            "modalities",
            "logit_bias",
        ]
    ),
)
def test_whatever_stands_in_a_field_is_read_or_refused(value, name):
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], name: value}
    try:
        read_chat(body)
    except ApiError as error:
        assert error.status == 400


@given(st.binary(max_size=40))
@example(b"{not json")
@example(b"[1]")
@example(b"[" * 100_000)
def test_any_bytes_are_an_object_or_an_error(data):
    try:
        assert isinstance(read_json(data), dict)
    except ApiError as error:
        assert error.status == 400
