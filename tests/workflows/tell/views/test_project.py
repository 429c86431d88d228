"""Each value with its source; passwords in addresses stay hidden; what needs a start is said."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.workflows.shift.shifting import START, begun, trace

from freehold.store import open_store
from freehold.types.route import ApiKey, Limits
from freehold.types.serving.rollout import Rollout
from freehold.workflows.project import open_project
from freehold.workflows.shift import keys as changes
from freehold.workflows.tell.views.project import (
    KeysQuery,
    RecordQuery,
    SettingsQuery,
    keys,
    record,
    settings,
)

FILE = """
[app]
name = "shop"
[incumbent]
model = "gpt-4o"
[capture]
mode = "patterns"
[serve]
port = 9000
[[endpoints]]
name = "a"
base_url = "http://u:hunter2@a.example/v1"
[[endpoints]]
name = "b"
base_url = "http://b.example/v1"
"""


@pytest.fixture
def shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_PORT", "8499")
    (tmp_path / "freehold.toml").write_text(FILE)
    project = open_project()
    with open_store(project.store_url) as store:

        def look(**query):
            return settings(project, store, SettingsQuery(**query), at=START)

        yield look


def test_values_of_the_file_stand_first_and_say_whether_they_wait_for_a_start(shown):
    found = shown()
    lines = {line.name: line for line in found.project if line.source == "file"}
    assert found.project[0].source == "file" and found.unread is None
    assert (lines["[capture] mode"].value, lines["[capture] mode"].restart) == ("patterns", False)
    assert (lines["[serve] port"].value, lines["[serve] port"].restart) == ("9000", True)
    assert [line.value for line in found.project if line.name == "[endpoints] name"] == ["a", "b"]
    hosts = next(line for line in found.project if line.name == "[serve] hosts")
    assert (hosts.source, hosts.restart) == ("default", False)
    machine = {line.name: line for line in found.machine}
    assert (machine["FREEHOLD_PORT"].value, machine["FREEHOLD_PORT"].source) == ("8499", "environment")
    assert machine["FREEHOLD_HOST"].source == "default"


def test_a_password_is_not_shown(shown):
    assert "hunter2" not in str(shown())
    assert any("***@a.example" in (line.value or "") for line in shown().project)


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


# A figure's record is shown as it is stored; a key's is not.

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_record_is_found_by_its_id_whatever_its_kind(store):
    begun(store)
    (rollout,) = store.records(Rollout)
    found = record(None, store, RecordQuery(id=rollout.key), at=AT)
    (one,) = found.records
    assert one.kind == Rollout.kind and json.loads(bytes(one.body))["route"] == "support"
    assert json.loads(msgspec.json.encode(found))["records"][0]["body"]["state"] == "shadow"


def test_a_trace_is_said_to_be_one_and_an_unknown_id_has_nothing(store):
    one = trace(1)
    store.add_traces([one])
    assert record(None, store, RecordQuery(id=one.id), at=AT).is_trace
    nothing = record(None, store, RecordQuery(id="gone"), at=AT)
    assert nothing.records == () and not nothing.is_trace
    assert record(None, store, RecordQuery(), at=AT).records == ()


def test_a_key_of_the_gateway_is_not_shown(store):
    changes.add(store, "app", limits=Limits(), scope=changes.KeyScope(role="use"), who="ada", at=AT)
    assert record(None, store, RecordQuery(id="app"), at=AT).records == ()
