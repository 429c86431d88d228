"""Capture word by word: what is kept, what is not, and for how long."""

import asyncio
import os
import random
import signal
import string
import urllib.error

import msgspec
import pytest
from sqlalchemy import text
from tests.gateway.asking import QUESTION, get, metric, post
from tests.gateway.capture.test_traces import captured
from tests.gateway.loopback import ANSWER, eventually, gateway, plain, processes, stream, stream_of, traces_of

from freehold.datasets import building
from freehold.errors import StorageError
from freehold.gateway.capture.recorder import Recorder, _decode
from freehold.gateway.capture.redaction import redact, redactor_of
from freehold.gateway.capture.spool import OUTCOMES, Spool, digest_of
from freehold.gateway.config import GatewayConfig
from freehold.privacy.library import LIBRARY
from freehold.store import open_store
from freehold.types.endpoint import Endpoint

pytestmark = pytest.mark.process

PATIENCE_S = 20.0


def trace_of(running, trace_id):
    """The trace of an exchange, once it is written; the recorder may still be starting."""
    found = lambda: [one for one in traces_of(running) if one.id == trace_id]  # noqa: E731
    return eventually(found, timeout_s=PATIENCE_S)[0]


def test_opting_out_leaves_nothing(shared, upstream):
    _, headers, _ = post(shared, {**QUESTION, "model": "opted-out"}, headers={"x-freehold-capture": "off"})
    assert "x-freehold-trace-id" not in headers
    _, headers, _ = post(shared, {**QUESTION, "model": "kept"})
    trace_of(shared, headers["x-freehold-trace-id"])
    assert "opted-out" not in {trace.model for trace in traces_of(shared)}
    assert upstream.seen[0].headers.get("x-freehold-capture") is None


def test_only_whole_exchanges_may_become_samples(shared, upstream):
    upstream.answer = lambda seen: stream(stream_of("on", "its")[:2], cut=True)
    _, headers, _ = post(shared, {**QUESTION, "stream": True})
    cut = trace_of(shared, headers["x-freehold-trace-id"])
    assert cut.completeness == "upstream_cut"
    upstream.answer = lambda seen: plain(ANSWER)
    _, headers, _ = post(shared, QUESTION)
    whole = trace_of(shared, headers["x-freehold-trace-id"])
    with open_store(shared.config.store_url) as store:
        ids = {trace.id for trace in store.traces()}
        assert whole.id in ids and cut.id not in ids, "what datasets are built from"
        assert building.sample_of(whole, building.Recipe()).incumbent == "on its way"


def test_a_trace_whose_redaction_fails_is_lost_never_written(tmp_path):
    async def run():
        endpoint = Endpoint(name="i", engine="remote", base_url="http://x")
        url = f"sqlite:///{tmp_path / 's.sqlite3'}"
        recorder = Recorder(GatewayConfig(endpoints=(endpoint,), store_url=url, capture="patterns"), tmp_path)

        def broken(value):
            if "boom" in str(value):
                raise ValueError("the library fell over")
            return redact(value)

        recorder._redactor = broken
        batch = [msgspec.msgpack.encode(captured(text)) for text in ("fine", "boom")]
        assert _decode(batch[0]).model == "m"
        outcomes = []
        traces = list(recorder._traces(batch, outcomes, []))
        assert [one.request["messages"][0]["content"] for one in traces] == ["fine"]
        assert [OUTCOMES[code] for code in outcomes] == ["stored", "redaction"]

    asyncio.run(run())


HUGE = "".join(random.Random(7).choices(string.ascii_lowercase, k=9000))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request, tmp_path):
    if request.param == "postgres":
        return request.getfixturevalue("database")
    return f"sqlite:///{tmp_path / 's.sqlite3'}"


def refuse(store, ids):
    """Have the database refuse traces with an id like that, in words that tell of something else."""
    told = "RAISE(ABORT, 'the connection is locked')"
    refusal = {
        "sqlite": f"CREATE TRIGGER refuse BEFORE INSERT ON trace_ids WHEN CAST(NEW.id AS TEXT) LIKE '{ids}' "
        f"BEGIN SELECT {told}; END",
        "postgresql": "ALTER TABLE trace_ids ADD CONSTRAINT locked_connection "
        f"CHECK (encode(id, 'escape') NOT LIKE '{ids}')",
    }
    with store.database.writing() as connection:
        connection.execute(text(refusal[store.database.dialect]))


def recorded(url, folder, exchanges, *, refused):
    """A recorder of a worker that has kept `exchanges`, the worker's spool, what is in the store, and the error."""

    async def run():
        endpoint = Endpoint(name="i", engine="remote", base_url="http://x")
        config = GatewayConfig(
            endpoints=(endpoint,), store_url=url, capture="off", spool_folder=str(folder / "spool")
        )
        spool = Spool(
            folder / "spool", digest_of(url), digest_of(str(folder)), max_items=100, max_bytes=8 << 20
        )
        assert all(spool.offer(one) for one in exchanges)
        recorder = Recorder(config, folder)
        with open_store(url) as store:
            refuse(store, refused)
            error = None
            try:
                recorder._look(others=False)
                recorder._write(store)
            except StorageError as raised:
                error = raised
            kept = {trace.id for trace in store.traces(complete_only=False)}
        return recorder, spool, kept, error

    return asyncio.run(run())


def test_a_trace_that_the_store_refuses_is_given_up_and_the_others_are_stored(url, tmp_path, caplog):
    poison = {3: {"id": "poison3"}, 40: {"id": "poison40", "parent_id": HUGE}}
    exchanges = [
        msgspec.structs.replace(captured(), **{"id": f"t{n}", **poison.get(n, {})}) for n in range(60)
    ]
    recorder, spool, kept, error = recorded(url, tmp_path, exchanges, refused="%poison%")
    refused = ["poison3", "poison40"]
    assert kept == {one.id for one in exchanges} - set(refused) and error is None
    assert dict(zip(OUTCOMES, spool.settled, strict=True)) == {
        "stored": 58, "store": 2, "redaction": 0, "unreadable": 0,
    }  # fmt: skip
    assert all(f"refuses trace {id} (" in caplog.text for id in refused) and HUGE not in caplog.text
    assert recorder._meters.counters["freehold_recorder_failures", ("refused",)] == len(refused)


def test_a_store_that_takes_no_trace_at_all_makes_none_be_given_up(url, tmp_path):
    exchanges = [msgspec.structs.replace(captured(), id=f"t{n}") for n in range(5)]
    recorder, spool, kept, error = recorded(url, tmp_path, exchanges, refused="%")
    assert error is not None and sum(spool.settled) == 0 and not kept
    assert len(recorder._batch()) == 5


def test_the_library_finds_what_patterns_do_not(monkeypatch):
    pytest.importorskip("presidio_analyzer")
    redactor = redactor_of("pii")
    found = redactor(
        {
            "content": "my ssn is 219-09-9999, NHS 943 476 5919, call 212-555-0187",
            "list": ["mail ada@example.com", "order 12345678 of 2026-03-01 for 12.50 EUR"],
            "n": 5,
        }
    )
    assert found["content"] == "my ssn is <ID>, NHS <ID>, call <PHONE>"
    assert found["list"] == ["mail <EMAIL>", "order 12345678 of 2026-03-01 for 12.50 EUR"] and found["n"] == 5
    monkeypatch.setattr(LIBRARY, "_engine", None)  # the next one to ask it would fail
    monkeypatch.setattr(LIBRARY, "load", lambda: None)
    text = "no number in here, so the library is not asked"
    assert redactor(text) == text


def test_a_recorder_that_is_not_alive_shows_in_ready_and_in_a_metric(upstream, tmp_path):
    with gateway(upstream, tmp_path) as one:
        eventually(lambda: metric(one, "freehold_recorder_alive") == 1)
        assert post(one, QUESTION)[0] == 200
        eventually(lambda: traces_of(one))
        (recorder,) = processes(one, "recorder")
        # Else the main process, which looks at it, would replace it before long.
        os.kill(one.process.pid, signal.SIGSTOP)
        recorder.suspend()
        try:
            eventually(lambda: metric(one, "freehold_recorder_alive") == 0, timeout_s=10)
            with pytest.raises(urllib.error.HTTPError) as refused:
                get(one, "/ready")
            with refused.value as answer:
                assert answer.code == 503 and b'"recorder":"silent"' in answer.read()
        finally:
            recorder.resume()
            os.kill(one.process.pid, signal.SIGCONT)
        eventually(lambda: metric(one, "freehold_recorder_alive") == 1)
