import random
import re
from datetime import timedelta

import msgspec
import pytest
from tests.store.examples import NOON, trace

from freehold.store import index as words
from freehold.store import search as finding
from freehold.store.index import is_error, text_of
from freehold.store.search import search
from freehold.types.trace import TraceQuery

WORDS = ("refund", "order", "parcel", "invoice", "Müller", "late")
NAMES = {
    "user": ("ada", "bob", "eve"), "api_key": ("app", "test", None), "route": ("support", "search", None),
    "endpoint": ("local", "openai"), "conversation_id": ("c1", "c2", None),
}  # fmt: skip


def varied(number, draw):
    said = " ".join(draw.choices(WORDS, k=4))
    return trace(
        number,
        source="gateway",
        at=NOON + timedelta(seconds=draw.randrange(1000)),
        **{name: draw.choice(values) for name, values in NAMES.items()},
        model=draw.choice(("small", "large")),
        arm=draw.choice(("incumbent", "candidate")),
        status=draw.choice((200, 200, 404, 429, 500, 503)),
        completeness=draw.choice(("complete", "complete", "upstream_cut")),
        parent_id=draw.choice((None, None, "other")),
        total_ms=draw.choice((None, draw.uniform(1, 40_000))),
        upstream_id=f"req_{number % 50}",
        request={"messages": [{"role": "system", "content": "hidden"}, {"role": "user", "content": said}]},
        response={"id": f"chatcmpl-{number}", "choices": [{"message": {"content": f"number {number}"}}]},
    )


def meets(one, query):
    """What a query means, said plainly: each field by itself, on the trace itself."""
    text = [word.casefold() for word in re.findall(r"[^\W_]+", text_of(one))]
    classes = {str(one.status), f"{one.status // 100}xx", "error" if is_error(one) else ""}
    return all((
        query.text is None or all(word.casefold() in text for word in query.text.split()),
        query.user in (None, one.user),
        query.api_key in (None, one.api_key),
        query.status is None or query.status in classes,
        query.arm in (None, one.arm),
        query.endpoint in (None, one.endpoint),
        query.upstream_id in (None, one.upstream_id, one.response["id"]),
        query.conversation_id in (None, one.conversation_id),
        query.route in (None, one.route),
        query.model in (None, one.model),
        query.since is None or one.at >= query.since,
        query.until is None or one.at < query.until,
        query.slower_than_ms is None or (one.total_ms or 0) > query.slower_than_ms,
        not query.own_only or one.parent_id is None,
        not query.complete_only or one.completeness == "complete",
    ))  # fmt: skip


def any_query(draw):
    every = {
        **{name: draw.choice([value for value in values if value]) for name, values in NAMES.items()},
        "text": " ".join(draw.choices([*WORDS, "MÜLLER", "number"], k=draw.randrange(1, 3))),
        "status": draw.choice(("200", "404", "5xx", "4xx", "error")),
        "arm": draw.choice(("incumbent", "candidate")),
        "upstream_id": draw.choice(("req_7", "chatcmpl-7")),
        "model": "small",
        "since": NOON + timedelta(seconds=draw.randrange(1000)),
        "until": NOON + timedelta(seconds=draw.randrange(1000)),
        "slower_than_ms": draw.choice((50, 100, 2500, 30_000)),
        "own_only": True,
        "complete_only": True,
    }
    return TraceQuery(**dict(draw.sample(sorted(every.items()), draw.randrange(5))))


def all_pages(store, query, most):
    found, pages = [], 0
    while True:
        after = found[-1].place if found else None
        page = search(store.database, msgspec.structs.replace(query, most=most, after=after))
        found += page.traces
        pages += 1
        if page.next is None:
            return found
        assert page.next == page.traces[-1].place and len(page.traces) == most and pages < 1000


@pytest.mark.parametrize(("batch", "index"), [(400, True), (7, True), (7, False)])
def test_a_search_finds_what_each_trace_says_of_itself(store, monkeypatch, batch, index):
    """In blocks that are full at once or filled bit by bit, and where SQLite is too old to keep an index."""
    monkeypatch.setattr(words, "exists", (lambda connection: False) if not index else words.exists)
    draw = random.Random(20261129)
    kept = [varied(number, draw) for number in range(400)]
    for start in range(0, 400, batch):
        store.add_traces(kept[start : start + batch])
    hits = 0
    for _ in range(40):
        query = any_query(draw)
        found = all_pages(store, query, draw.choice((20, 1000)))
        assert [one.id for one in found] == [one.id for one in reversed(kept) if meets(one, query)], query
        hits += bool(found)
    assert hits > 20  # or nothing was tested


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("paket", 3),
        ('"ist paket"', 3),
        ('"paket ist"', 0),
        ("pak*", 3),
        ("paket unterwegs", 3),
        ("NEAR NOT", 0),
        ("'paket'; DROP TABLE traces", 0),
    ],
)
def test_words_and_phrases(store, text, count):
    store.add_traces(trace(number) for number in range(3))
    assert len(search(store.database, TraceQuery(text=text)).traces) == count


@pytest.mark.parametrize("text", ["ada.l@example.org", "A-4711", "shop.example/orders", "12.50", "über-weg"])
def test_what_a_parser_may_take_for_one_word_is_found_by_its_parts(store, text):
    """PostgreSQL's has addresses, hosts, paths, signed numbers and fractions."""
    said = (
        "Write to Ada.L@example.org about A-4711: https://shop.example/orders/88?x=1"
        " costs 12.50, since v2.1.3 ÜBER-WEG"
    )
    store.add_traces([trace(1, request={"messages": [{"role": "user", "content": said}]}), trace(2)])
    assert len(search(store.database, TraceQuery(text=text)).traces) == 1


def test_a_trace_that_was_written_again_is_found_by_what_it_says_now(store):
    store.add_traces(trace(number) for number in range(3))
    assert len(search(store.database, TraceQuery(text="paket")).traces) == 3
    kept = next(store.traces())
    changed = trace(
        1, id=kept.id, user="ada", request={"messages": [{"role": "user", "content": "corrected"}]}
    )
    assert store.replace_trace(changed)
    assert [one.id for one in search(store.database, TraceQuery(text="corrected", user="ada")).traces] == [
        changed.id
    ]
    assert len(search(store.database, TraceQuery(text="paket")).traces) == 2


def test_a_page_that_takes_too_long_is_cut_and_goes_on(store, monkeypatch):
    monkeypatch.setattr(finding, "READ_BYTES", 0)
    monkeypatch.setattr(finding, "READ_WITHIN_S", 0)
    store.add_traces(trace(number) for number in range(100))
    store.add_traces([trace(1000, request={"messages": [{"role": "user", "content": "where? paket first"}]})])
    query, found, cut = TraceQuery(text='"wo ist"'), [], 0
    while True:
        page = search(store.database, query)
        found += page.traces
        cut += page.cut
        if page.next is None:
            break
        query = msgspec.structs.replace(query, after=page.next)
    assert len(found) == 100 and cut > 1
