import pytest

from freehold.types.dataset import Message
from freehold.types.encoder import EncoderManifest, as_copied, lines_of, text_of


def said(role, content):
    return Message(role=role, content=content)


TALK = (
    said("system", "Name the intent.\n\n  Plan: paid "),
    said("user", " my card "),
    said("assistant", "which?"),
    said(
        "user",
        [{"type": "text", "text": "the blue one"}, {"type": "image_url"}, {"type": "text", "text": "!"}],
    ),
)


def test_the_last_turn_is_read():
    assert text_of(TALK) == "the blue one\n!"


def test_what_varies_of_the_system_prompt_is_read_last():
    assert text_of(TALK, system_lines=("Name the intent.",)) == "the blue one\n!\nPlan: paid"


def test_without_a_user_nothing_is_read():
    assert text_of(TALK[:1]) == ""
    assert lines_of("\n a\n\n") == ["a"]


def test_a_manifest_reads_as_it_was_trained():
    manifest = EncoderManifest(base_model="b", base_sha256="0", width=1, answer="label", fields=())
    assert manifest.text_of(TALK) == "the blue one\n!"


@pytest.mark.parametrize(
    ("form", "value"),
    [("as_written", "a-12"), ("upper", "A-12"), ("lower", "a-12"), ("digits", "12"), ("number", 12)],
)
def test_a_piece_as_it_is_copied(form, value):
    assert as_copied("a-12", form) == value


def test_a_piece_without_digits_has_no_number():
    assert as_copied("abc", "number") is None
