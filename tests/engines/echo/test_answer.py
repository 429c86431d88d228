"""Echo's answers: a pure function of the request."""

import pytest

from freehold.engines.echo import EchoOptions, EchoRule
from freehold.engines.echo_server import embedding, instance, reply_to, tokens


def ask(text, options=None, answers=None, **body):
    request = {"model": "m", "messages": [{"role": "user", "content": text}], **body}
    return reply_to(request, options or EchoOptions(), answers or {})


def test_answers_come_from_the_table_then_rules_then_default_then_the_message():
    options = EchoOptions(
        rules=(EchoRule(contains="refund", answer="r"), EchoRule(regex=r"^\d+$", answer="n")), default="d"
    )
    answers = {"": {"hello": "table"}, "m": {"hello": "mine"}}
    assert ask("hello", options, answers).text == "mine"
    assert ask("hello", options, {"": {"hello": "table"}}).text == "table"
    assert ask("a refund please", options).text == "r"
    assert ask("42", options).text == "n"
    assert ask("else", options).text == "d"
    assert ask("else").text == "else"


def test_tokens_join_to_the_text():
    for text in ("Hello, world!  Two  spaces\n", "", "ümlaut — dash", "{}"):
        assert "".join(tokens(text)) == text


def test_stop_and_length():
    assert ask("one STOP two", stop=["STOP"]).text == "one "
    cut = ask("one two three", max_tokens=2)
    assert (cut.text, cut.finish_reason) == ("one two", "length")


def test_schemas_are_met():
    schema = {
        "type": "object",
        "properties": {"intent": {"enum": ["track", "cancel"]}, "n": {"type": "integer"}},
        "required": ["intent", "n"],
    }
    assert instance(schema) == {"intent": "track", "n": 0}
    wanted = {"type": "json_schema", "json_schema": {"schema": schema}}
    assert ask("free text", response_format=wanted).text == '{"intent":"track","n":0}'
    kept = '{"intent": "cancel", "n": 3}'
    assert ask(kept, response_format=wanted).text == kept


def test_embeddings_are_unit_vectors_of_the_text():
    assert embedding("a") == embedding("a") != embedding("b")
    assert sum(value * value for value in embedding("a")) == pytest.approx(1)
