"""The recorder's thread: what goes wrong in it is logged, counted and survived, or ends the process."""

import contextlib
import logging
import os
import signal
import threading
import urllib.error

import pytest
from tests.gateway.asking import QUESTION, get, metric, post
from tests.gateway.loopback import eventually, gateway, processes, traces_of

from freehold.gateway.capture.rounds import RecorderDuties, Rounds
from freehold.gateway.config import GatewayConfig
from freehold.gateway.telemetry import pulse
from freehold.gateway.telemetry.meters import Meters
from freehold.types.endpoint import Endpoint


def nothing(*_):
    return None


@contextlib.contextmanager
def running(tmp_path, **duties):
    endpoint = Endpoint(name="i", engine="remote", base_url="http://127.0.0.1:9")
    config = GatewayConfig(endpoints=(endpoint,), store_url=f"sqlite:///{tmp_path / 's.sqlite3'}")
    stopping, meters = threading.Event(), Meters()
    all_duties = {**dict.fromkeys(RecorderDuties._fields, nothing), **duties}
    rounds = Rounds(
        config, tmp_path, RecorderDuties(**all_duties), meters, stopping=stopping, wake=threading.Event()
    )
    thread = threading.Thread(target=rounds.run)
    thread.start()
    try:
        yield meters
    finally:
        stopping.set()
        thread.join(20)


def test_a_round_that_fails_is_logged_counted_and_survived(tmp_path, caplog):
    written, told = [], []

    def write(_store):
        written.append(1)
        if len(written) == 2:
            raise OverflowError("date value out of range")

    caplog.set_level(logging.ERROR)
    with running(tmp_path, write=write, tell=told.append) as meters:
        eventually(lambda: len(written) > 3)
        assert pulse.is_alive(tmp_path) and len(told) == 1
    assert meters.counters["freehold_recorder_failures", ("unexpected",)] == 1
    assert "OverflowError: date value out of range" in caplog.text


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
