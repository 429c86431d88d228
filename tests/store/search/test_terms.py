import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.errors import UsageError
from freehold.store.search.terms import (
    Phrase,
    phrases_of,
    wanted_tags,
    words_in,
)
from freehold.types.trace_search import TraceQuery


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("refund", [Phrase(("refund",))]),
        ("refund  order", [Phrase(("refund",)), Phrase(("order",))]),
        ('"order 4711" refund', [Phrase(("order", "4711")), Phrase(("refund",))]),
        ("deliv*", [Phrase(("deliv",), prefix=True)]),
        ("a.b@example.com", [Phrase(("a", "b", "example", "com"))]),
        ('"never closed', [Phrase(("never", "closed"))]),
        ('NEAR( AND OR NOT "', [Phrase((word,)) for word in ("NEAR", "AND", "OR", "NOT")]),
        ("snake_case", [Phrase(("snake", "case"))]),
        ('* "" müller', [Phrase(("müller",))]),
    ],
)
def test_what_a_text_asks_for(text, phrases):
    assert phrases_of(text) == phrases


@pytest.mark.parametrize("text", ["", "  ", '""', "* !? \x00"])
def test_a_text_without_a_word_is_refused(text):
    with pytest.raises(UsageError, match="not a word in"):
        phrases_of(text)


@pytest.mark.parametrize("status", ["", "nope", "40", "4x", "1000", "0xx"])
def test_what_is_not_a_status_is_refused(status):
    with pytest.raises(UsageError, match="not a status"):
        wanted_tags(TraceQuery(status=status))


@given(st.text(st.characters(max_codepoint=127)))
def test_words_of_plain_text_are_those_of_any_text(text):
    assert words_in(text) == re.findall(r"[^\W_]+", text)
    assert words_in(f"{text} é") == [*words_in(text), "é"]
