"""What the record holds is in tests/store/test_audit.py."""

import json
import sqlite3


def test_changes_of_keys_are_shown_exported_and_checked(freehold, project):
    secret = freehold("keys", "add", "app", "--role", "read").out.strip()
    freehold("keys", "limit", "app", "concurrency=3")
    freehold("keys", "revoke", "app")
    entries = freehold("audit", "--json").json
    assert [one["action"] for one in entries] == ["key.add", "key.limit", "key.revoke"]
    assert entries[0]["detail"]["role"] == "read" and "keys add" in entries[0]["source"]
    shown = freehold("audit", "--last", "1").out
    assert "key.revoke app" in shown and "key.add" not in shown and secret not in str(entries)
    assert freehold("audit", "--export", "out.jsonl", "--action", "key").err.startswith("wrote 3 entries")
    exported = project / "out.jsonl"
    assert json.loads(exported.read_text().splitlines()[0])["subject"] == "app"
    assert exported.stat().st_mode & 0o777 == 0o600
    whole = freehold("audit", "--check")
    assert whole.code == 0 and "3 entries, whole" in whole.err
    with sqlite3.connect(project / ".freehold" / "freehold.sqlite") as store:
        store.execute("DROP TRIGGER audit_no_delete")
        store.execute("DELETE FROM audit WHERE number = 2")
    store.close()
    cut = freehold("audit", "--check")
    assert cut.code == 1 and "entries 2 to 2 are missing" in cut.out and "NOT WHOLE" in cut.err
    assert "--head goes with --check" in freehold("audit", "--head", "1:a").err
