"""What the record holds is in tests/store/test_audit.py."""

import getpass
import json
import socket
import sqlite3
from typing import get_args

import click
from tests.documents import schemas

from freehold.types.rollout import Gate


def test_changes_of_keys_are_shown_and_checked(freehold, project):
    secret = freehold("keys", "add", "app", "--role", "read").out.strip()
    freehold("keys", "limit", "app", "concurrency=3")
    freehold("keys", "revoke", "app")
    entries = freehold("audit", "--json").items
    assert [one["action"] for one in entries] == ["key.add", "key.limit", "key.revoke"]
    assert entries[0]["detail"]["role"] == "read" and "keys add" in entries[0]["source"]
    shown = freehold("audit", "--last", "1").out
    assert "key.revoke app" in shown and "key.add" not in shown and secret not in str(entries)
    assert len(freehold("audit", "--action", "key", "--json").items) == 3
    whole = freehold("audit", "--check")
    assert whole.code == 0 and "3 entries, whole" in whole.err
    with sqlite3.connect(project / ".freehold" / "freehold.sqlite") as store:
        store.execute("DROP TRIGGER audit_no_delete")
        store.execute("DELETE FROM audit WHERE number = 2")
    store.close()
    cut = freehold("audit", "--check")
    assert cut.code == 1 and "entries 2 to 2 are missing" in cut.out and "NOT WHOLE" in cut.err
    assert "--head goes with --check" in freehold("audit", "--head", "1:a").err


MISSING = [word for gate in get_args(Gate) for word in ("--without", gate)]
STORY = (
    (("import", "traffic.jsonl"), ["import.begin", "import"]),
    (("dataset", "build"), ["dataset.save"]),
    (("traces", "export", "out.jsonl"), ["export.begin", "export"]),
    (("forget", "--trace", "{trace}", "--yes"), ["forget.begin", "dataset.delete", "forget"]),
    (("forget", "--conversation", "c7", "--yes"), ["forget.begin", "forget"]),
    (("keys", "add", "app"), ["key.add"]),
    (("keys", "limit", "app", "concurrency=3"), ["key.limit"]),
    (("keys", "limit", "--label", "search", "requests_per_minute=300"), ["label.limit"]),
    (("keys", "accept", "--yes"), ["keys.accept"]),
    (("keys", "revoke", "app"), ["key.revoke"]),
    (("keys", "revoke", "--forget-all"), ["keys.forget"]),
    (("routes", "set", "r", "--model", "m", "--incumbent", "incumbent"), ["route.save"]),
    (("routes", "set", "r", "--limit", "requests_per_minute=5", "--why", "too busy"), ["route.save"]),
    (("routes", "remove", "r"), ["route.delete"]),
    (("rollout", "start", "--candidate", "local-model"), ["route.save", "rollout.shadow"]),
    (("rollout", "pause"), ["route.save", "rollout.paused"]),
    (("rollout", "advance"), ["route.save", "rollout.shadow"]),
    (("rollout", "advance", *MISSING), ["route.save", "rollout.canary"]),
    (("rollout", "promote", *MISSING), ["route.save", "rollout.promoted"]),
    (("rollout", "rollback", "--why", "complaints"), ["route.save", "rollout.rolled_back"]),
    (("store", "backup", "b.sqlite"), ["store.backup"]),
    (("store", "restore", "b.sqlite", "--yes"), ["store.restore"]),
)
"""Commands that change the store, each with the entries it leaves."""
ELSEWHERE = {
    "up": "gateway.start: tests/workflows/shift/test_up.py",
    "console": "its buttons are those of a rollout: tests/console/test_app.py",
}
BY_RECORD = {
    "demo", "migrate", "rescue", "train", "evaluate", "compare", "freeze", "parity",
    "watch", "improve", "defer plan",
}  # fmt: skip
"""Their results are records, each with its entry: tests/store/test_audit.py."""
NOTHING_STORED = {
    "init", "report", "status", "down", "traces list", "traces show", "store check", "dataset check",
    "dataset show",
    "scan", "retirements", "license rule",
    "license comply", "license init", "license identify", "license bom", "assess", "fit", "cost", "trust",
    "catalog list", "catalog sync",
    "models list", "models export", "models pull", "models rm", "engines list", "engines install", "engines rm",
    "serve", "power", "routes list",
    "keys list", "label", "tasks",
    "mcp confirm", "skill install",
    "rollout status", "audit", "doctor", "settings",
}  # fmt: skip
"""They look, or change files of weights and engines that no store knows of."""


def test_every_command_that_changes_the_store_is_in_the_story_or_has_a_reason():
    found = {" ".join(words) for words, one in schemas().commands() if not isinstance(one, click.Group)}
    told = {
        next(name for length in (3, 2, 1) if (name := " ".join(words[:length])) in found)
        for words, _ in STORY
    }
    lists = [told, set(ELSEWHERE), BY_RECORD, NOTHING_STORED]
    assert found == set().union(*lists)
    assert sum(map(len, lists)) == len(found), "a command is on one list"


def test_who_did_what_from_where_and_why(freehold, traffic, monkeypatch):
    """Every command of the story leaves its entries and no other; the chain is whole at the end."""
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    (trace,) = freehold("traces", "list", "-n", "1", "--json").items
    known = len(freehold("audit", "--json").items)
    for words, actions in STORY:
        words = [word.format(trace=trace["id"]) for word in words]
        ran = freehold(*words)
        assert ran.code in (0, 3), (words, ran.err)
        entries = freehold("audit", "--json").items
        new = entries[known:]
        assert [one["action"] for one in new] == actions, words
        known = len(entries)
        for one in new:
            where = f"ada@{socket.gethostname()}: {' '.join(word for word in words[:2] if word[0] != '-')}"
            assert (one["who"], one["source"]) == ("ada", where), words
        if "--why" in words:
            assert words[-1] in new[0]["why"]
    assert freehold("audit", "--check").code == 0
    assert "message" not in json.dumps(entries), "nothing a customer wrote"
