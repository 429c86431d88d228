"""A figure's record is shown as it is stored; a key's is not."""

import json
from datetime import UTC, datetime

import msgspec
from tests.workflows.shift.shifting import begun, trace

from freehold.types.rollout import Rollout
from freehold.types.route import Limits
from freehold.workflows.shift import keys
from freehold.workflows.tell.views.record import RecordQuery, record

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
    keys.add(store, "app", limits=Limits(), scope=keys.KeyScope(role="use"), who="ada", at=AT)
    assert record(None, store, RecordQuery(id="app"), at=AT).records == ()
