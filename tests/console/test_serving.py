"""Who and what a console answers: addresses, guards, sessions, files, its store."""

import asyncio
import json
import re
import shutil
import socket
import threading
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from freehold.console import app, guard, screens
from freehold.console.guard import Sessions, Visitor
from freehold.console.screens import ProjectStore, RecordCache
from freehold.errors import PortInUseError, StorageError, StoreError, UsageError
from freehold.store import default_url, open_store
from freehold.types.route import PERMISSIONS, Limits
from freehold.workflows.shift import keys


def test_a_port_in_use_is_named(project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        visitor, stop = Visitor("ada", "operate"), asyncio.Event()
        serving = app.run(
            project, host="127.0.0.1", port=port, token="t", visitor=visitor, ready=print, stop=stop
        )
        with pytest.raises(PortInUseError, match=str(port)):
            asyncio.run(serving)


def test_every_permission_has_words_for_its_refusal():
    every = {what for allowed in PERMISSIONS.values() for what in allowed}
    assert set(guard.REFUSALS) == every - {"ask"}, "nothing in the console asks a model"
    for needs in guard.REFUSALS:
        guard.visitor_now.set(Visitor("ada", "use"))
        answer = guard.refusal(needs)
        assert (answer is None) == (needs in PERMISSIONS["use"])
        if answer is not None:
            assert answer.status == 403 and "role use" in json.loads(answer.text)["error"]
    guard.visitor_now.set(Visitor("ada", "read", content=True))
    assert guard.refusal("content") is None and guard.refusal("change") is not None


def test_the_policy_lets_no_script_style_or_request_of_others_in():
    policy = guard.HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'") and "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy and "*" not in policy and "http" not in policy


ADA = Visitor("ada", "read")


@pytest.fixture
def store(tmp_path):
    with open_store(default_url(tmp_path)) as store:
        yield store


def made(store, role, **scope):
    scope = keys.KeyScope(role=role, **scope)
    return keys.add(store, role, limits=Limits(), scope=scope, who="ada", at=datetime.now(UTC)).secret


def test_the_printed_token_stands_for_its_visitor_and_a_login_only_console_has_none(store):
    assert Sessions("t", ADA).visitor(store, "t") == ADA
    assert Sessions("t", ADA).visitor(store, "") is None
    for shown in ("", "None", "t"):
        assert Sessions(None, ADA).visitor(store, shown) is None


@pytest.mark.parametrize("shown", ["\udcff", "\u00e4", "x" * 100_000])
def test_a_token_that_is_no_text_stands_for_no_visitor(store, shown):
    """A header may hold any bytes; the server has them as lone halves of surrogate pairs."""
    here = Sessions("t", ADA)
    assert here.visitor(store, shown) is None and not here.redeem("a.html", shown)
    here.end(shown)


def test_a_session_ends_with_its_time_and_with_its_key(store, monkeypatch):
    here = Sessions(None, ADA)
    expiring = made(store, "operate", expires_at=datetime.now(UTC) + timedelta(hours=1))
    tokens = [here.begin(store, made(store, "read"))[0], here.begin(store, expiring)[0]]
    assert [here.visitor(store, token).who for token in tokens] == ["read", "operate"]
    assert not any(here.visitor(store, secret) for secret in (expiring, "x"))
    keys.revoke(store, "operate", at=datetime.now(UTC))
    assert here.visitor(store, tokens[1]) is None
    later = guard.time.monotonic() + guard.SESSION_S + 1
    monkeypatch.setattr(guard.time, "monotonic", lambda: later)
    assert here.visitor(store, tokens[0]) is None


def test_an_expired_key_opens_nothing_and_ends_its_session(store, monkeypatch):
    here = Sessions(None, ADA)
    secret = made(store, "admin", expires_at=datetime.now(UTC) + timedelta(hours=1))
    token, _ = here.begin(store, secret)

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(hours=2)

    monkeypatch.setattr(guard, "datetime", Later)
    assert here.visitor(store, token) is None
    with pytest.raises(UsageError, match="opens no console"):
        here.begin(store, secret)


def test_a_ticket_is_good_once_for_one_page_and_soon(monkeypatch):
    here = Sessions(None, ADA)
    word = here.ticket("a.html")
    assert here.redeem("a.html", word) and not here.redeem("a.html", word)
    assert not here.redeem("b.html", here.ticket("a.html"))
    word = here.ticket("a.html")
    later = guard.time.monotonic() + guard.TICKET_S + 1
    monkeypatch.setattr(guard.time, "monotonic", lambda: later)
    assert not here.redeem("a.html", word)


LINES_MAX = 400
FILES = sorted(
    path.relative_to(app.folder()).as_posix()
    for path in app.folder().rglob("*")
    if path.suffix in (".js", ".css")
)


def text(name):
    return app.folder().joinpath(*name.split("/")).read_text()


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_and_short_enough_to_read(name):
    assert app.script_or_style(name).status == 200
    assert text(name).count("\n") <= LINES_MAX


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_no_script_makes_markup_or_code_of_text_or_leads_elsewhere(name):
    found = re.findall(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://(?!www\.w3\.org/2000/svg)",
        text(name),
    )
    assert found == []


@pytest.mark.parametrize(
    "name", ["page.html", "../app.py", "screens/../console.js", "pieces", "screens/", "x.js"]
)
def test_nothing_else_is(name):
    with pytest.raises(web.HTTPNotFound):
        app.script_or_style(name)


def test_it_opens_what_was_put_in_its_place(tmp_path):
    path, other = tmp_path / "store.sqlite", tmp_path / "other.sqlite"
    url = f"sqlite:///{path}"
    with open_store(f"sqlite:///{other}") as store:
        store.trace_names("model")
    mine = ProjectStore(url)
    first = mine.get()
    assert mine.get() is first
    for name in ("store.sqlite", "store.sqlite-wal", "store.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(other, path)
    assert mine.get() is not first
    mine.close()


def test_a_store_that_cannot_be_read_is_an_error_each_time_until_it_can(tmp_path):
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"not a database" * 1000)
    mine = ProjectStore(f"sqlite:///{path}")
    for _ in range(2):
        with pytest.raises((StoreError, StorageError)):
            mine.get()
    path.unlink()
    assert mine.get().count_traces() == 0
    mine.close()


def test_twenty_that_ask_at_once_cost_one(monkeypatch):
    made = []

    def make():
        made.append(threading.get_ident())
        return b"data"

    async def main():
        cache = RecordCache()
        found = await asyncio.gather(*(cache.get("a", make) for _ in range(20)))
        assert found == [b"data"] * 20 and len(made) == 1
        await cache.get("b", make)
        assert len(made) == 2, "another query is another record"
        cache.clear()
        await cache.get("a", make)
        assert len(made) == 3
        monkeypatch.setattr(screens, "RECORD_SECONDS", 0.0)
        monkeypatch.setattr(screens, "REST", 0.0)
        cache.clear()
        await cache.get("a", make)
        await cache.get("a", make)
        assert len(made) == 5, "an old one is made again"

    asyncio.run(main())
    assert threading.get_ident() not in made
