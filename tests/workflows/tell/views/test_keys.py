"""Keys as a page shows them: in force first, no secret and no hash."""

from datetime import timedelta

import msgspec
from tests.workflows.shift.shifting import START

from freehold.store import open_store
from freehold.types.route import ApiKey, Limits
from freehold.workflows.project import open_project
from freehold.workflows.shift import keys as changes
from freehold.workflows.tell.views.keys import KeysQuery, keys


def test_those_that_ended_are_counted_and_shown_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = open_project()
    with open_store(project.store_url) as store:
        assert keys(project, store, KeysQuery(), at=START).required is False
        made = changes.add(store, "app", limits=Limits(usd_per_day=5), who="ada", at=START)
        old = changes.KeyScope(role="read", expires_at=START)
        changes.add(store, "old", limits=Limits(), scope=old, who="ada", at=START - timedelta(days=1))
        changes.add(store, "gone", limits=Limits(), who="ada", at=START)
        changes.revoke(store, "gone", at=START)
        shown = keys(project, store, KeysQuery(), at=START)
        assert [line.name for line in shown.keys] == ["app"] and shown.ended == 2 and shown.required
        every = keys(project, store, KeysQuery(ended=True), at=START)
        assert {line.name for line in every.keys} == {"app", "old", "gone"}
        written = msgspec.json.encode(every).decode()
        assert made.secret not in written
        assert not any(key.hash in written for key in store.records(ApiKey))
