"""Where an answer ends that has a limit of tokens, or a text that ends it."""

import pytest

from freehold.encoders.answers import AnswerToken, EncoderAnswer
from freehold.engines.encoder.completions import limited

ANSWER = EncoderAnswer(
    tuple(AnswerToken(text, -0.1, ()) for text in ('{"a": "x"', ', "b": "y"', ', "c": "z"}')), 0.7
)


@pytest.mark.parametrize(
    "most, stops, tokens, text, finish",
    [
        (None, (), 3, '{"a": "x", "b": "y", "c": "z"}', "stop"),
        (3, (), 3, '{"a": "x", "b": "y", "c": "z"}', "stop"),
        (1, (), 1, '{"a": "x"', "length"),
        (None, ('"b"',), 2, '{"a": "x", ', "stop"),
        (None, ('"c"', '"a"'), 1, "{", "stop"),
        (1, ('"b"',), 1, '{"a": "x"', "length"),
        (None, ("{",), 0, "", "stop"),
    ],
)
def test_an_answer_ends_where_it_must(most, stops, tokens, text, finish):
    kept, said, why = limited(ANSWER, most, stops)
    assert (len(kept), said, why) == (tokens, text, finish)
