"""Tokens of the console: for whom they stand, and for how long."""

from datetime import UTC, datetime, timedelta

import pytest

from freehold.console import sessions
from freehold.console.sessions import Sessions, Visitor
from freehold.errors import UsageError
from freehold.store import default_url, open_store
from freehold.types.route import Limits
from freehold.workflows.shift import keys

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
    later = sessions.time.monotonic() + sessions.SESSION_S + 1
    monkeypatch.setattr(sessions.time, "monotonic", lambda: later)
    assert here.visitor(store, tokens[0]) is None


def test_an_expired_key_opens_nothing_and_ends_its_session(store, monkeypatch):
    here = Sessions(None, ADA)
    secret = made(store, "admin", expires_at=datetime.now(UTC) + timedelta(hours=1))
    token, _ = here.begin(store, secret)

    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(hours=2)

    monkeypatch.setattr(sessions, "datetime", Later)
    assert here.visitor(store, token) is None
    with pytest.raises(UsageError, match="opens no console"):
        here.begin(store, secret)


def test_a_ticket_is_good_once_for_one_page_and_soon(monkeypatch):
    here = Sessions(None, ADA)
    word = here.ticket("a.html")
    assert here.redeem("a.html", word) and not here.redeem("a.html", word)
    assert not here.redeem("b.html", here.ticket("a.html"))
    word = here.ticket("a.html")
    later = sessions.time.monotonic() + sessions.TICKET_S + 1
    monkeypatch.setattr(sessions.time, "monotonic", lambda: later)
    assert not here.redeem("a.html", word)


def test_what_is_remembered_is_bounded(store, monkeypatch):
    monkeypatch.setattr(sessions, "_MOST", 3)
    here, secret = Sessions(None, ADA), made(store, "read")
    tokens = [here.begin(store, secret)[0] for _ in range(5)]
    assert [here.visitor(store, token) is not None for token in tokens] == [False, False, True, True, True]
