"""Replies of proposers, in words and as objects."""

import jsonschema
import pytest

from freehold.prompts.replies import MOST_HELD_LETTERS, object_format, split


@pytest.mark.parametrize(
    ("said", "text", "around"),
    [
        ("a\n```\nb\n```\nc", "b", "a c"),
        ("a\n```text\nb\nc\n```", "b\nc", "a"),
        ("```\nshort\n```\nand\n```json\nlonger one\n```", "longer one", "and"),
        ("none", None, "none"),
        ("inline ```x``` only", None, "inline ```x``` only"),
        ('{"why": "It  chats.", "prompt": " Answer with JSON.\\n"}', "Answer with JSON.", "It chats."),
        ('{"prompt": "Answer."}', "Answer.", ""),
        ('It chats.\n```json\n{"why": "", "prompt": "Answer."}\n```', "Answer.", "It chats."),
        ('```\n{"intent": "x"}\n```', '{"intent": "x"}', ""),
        ('{"why": "cut", "prompt": "Answer wi', None, '{"why": "cut", "prompt": "Answer wi'),
        ('{"prompt": ["a"]}', None, '{"prompt": ["a"]}'),
        ("[" * 100_000, None, "[" * 100_000),
    ],
)
def test_the_prompt_is_the_object_s_or_the_longest_block(said, text, around):
    assert split(said) == (text, around)


def test_what_an_engine_is_held_to_is_what_is_read():
    schema = object_format("Be brief.")["json_schema"]["schema"]
    told = {"why": "It chats.", "prompt": "Answer with one JSON object."}
    jsonschema.validate(told, schema)
    for wrong in ({"prompt": "x" * 30}, told | {"prompt": "short"}, told | {"why": "x" * 201}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


@pytest.mark.parametrize(("letters", "most"), [(0, 800), (800, 1600), (950, 1900), (951, None)])
def test_a_prompt_may_grow_to_twice_its_length_where_an_engine_can_count_so_far(letters, most):
    prompt = object_format("x" * letters)["json_schema"]["schema"]["properties"]["prompt"]
    assert prompt.get("maxLength") == most and (most or 0) <= MOST_HELD_LETTERS
