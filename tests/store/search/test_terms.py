import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.store.examples import trace

from freehold.errors import UsageError
from freehold.store.search import terms
from freehold.store.search.terms import (
    MOST_CHARACTERS,
    Phrase,
    answer_id_of,
    is_error,
    phrases_of,
    tag,
    tags_of,
    text_of,
    users_of,
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


def test_the_text_is_what_was_asked_and_answered_without_instructions():
    call = {"function": {"name": "track", "arguments": '{"parcel": 9}'}}
    messages = [
        {"role": "system", "content": "be kind"},
        {"role": "developer", "content": "be brief"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "first"}, {"type": "image_url", "image_url": {}}],
        },
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "user", "content": "last\0"},
    ]
    said = {"choices": [{"message": {"content": "answer", "refusal": "no"}}, {"text": "completed"}]}
    found = text_of(trace(1, request={"messages": messages}, response=said))
    assert found.split("\n") == ["answer", "no", "completed", "last ", "track", '{"parcel": 9}', "first"]
    assert (
        text_of(trace(1, request={"prompt": ["one", "two"], "input": "three"}, response=None))
        == "one\ntwo\nthree"
    )
    assert text_of(trace(1, request={"messages": "odd", "prompt": 3}, response={"choices": {}})) == ""


def test_of_a_long_text_the_newest_is_kept():
    messages = [{"role": "user", "content": word * MOST_CHARACTERS} for word in "ab"]
    found = text_of(trace(1, request={"messages": messages}, response=None))
    assert found == "b" * MOST_CHARACTERS


def test_users_are_found_wherever_a_request_names_them():
    asked = {"user": "a", "safety_identifier": "b", "metadata": {"customer_id": 4711, "team": "x"}}
    assert users_of(trace(1, user="h", request=asked, metadata={"user_id": "m"})) == [
        "h",
        "a",
        "b",
        "m",
        "4711",
    ]
    assert users_of(trace(1)) == []


def test_tags_of_a_trace_are_those_a_query_wants():
    one = trace(
        1, route="r", endpoint="e", api_key="k", arm="candidate", status=503, upstream_id="req", user="u",
        conversation_id="c", total_ms=1500.0, response={"id": "chatcmpl-1"},
    )  # fmt: skip
    wanted = TraceQuery(
        route="r", endpoint="e", api_key="k", arm="candidate", status="5xx", upstream_id="req", user="u",
        conversation_id="c", slower_than_ms=1200, model="gpt-4o", own_only=True, complete_only=True,
    )  # fmt: skip
    assert set(wanted_tags(wanted)) <= set(tags_of(one))
    for same in (TraceQuery(status="503"), TraceQuery(status="ERROR"), TraceQuery(upstream_id="chatcmpl-1")):
        assert set(wanted_tags(same)) <= set(tags_of(one))
    for other in (
        TraceQuery(status="504"), TraceQuery(status="4xx"), TraceQuery(user="v"), TraceQuery(arm="incumbent"),
        TraceQuery(slower_than_ms=5000), TraceQuery(user="k"),
    ):  # fmt: skip
        assert not set(wanted_tags(other)) <= set(tags_of(one))
    assert wanted_tags(TraceQuery(slower_than_ms=20)) == []
    assert answer_id_of(trace(1, response={"id": 7})) is None


@pytest.mark.parametrize("status", ["", "nope", "40", "4x", "1000", "0xx"])
def test_what_is_not_a_status_is_refused(status):
    with pytest.raises(UsageError, match="not a status"):
        wanted_tags(TraceQuery(status=status))


def test_a_tag_tells_fields_and_values_apart():
    assert tag("u", "a") != tag("k", "a") != tag("k", "b")
    before = terms._known_tag.cache_info().currsize
    assert len({tag("u", f"{number}" + "x" * 1_000) for number in range(10)}) == 10
    assert terms._known_tag.cache_info().currsize == before, "a user of megabytes is not kept"
    assert tag("u", "\ud800").isalnum() and len(tag("u", "x" * 10_000)) == 17


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, False),
        ({"status": 429}, False),
        ({"status": 500}, True),
        ({"completeness": "upstream_cut"}, True),
        ({"completeness": "client_aborted"}, False),
        ({"fallback": "timeout"}, True),
        ({"fallback": "schema"}, False),
    ],
)
def test_what_an_error_is(changes, error):
    assert is_error(trace(1, **changes)) is error


@given(st.text(st.characters(max_codepoint=127)))
def test_words_of_plain_text_are_those_of_any_text(text):
    assert words_in(text) == re.findall(r"[^\W_]+", text)
    assert words_in(f"{text} é") == [*words_in(text), "é"]
