"""The recorder's thread: what goes wrong in it is logged, counted and survived, or ends the process."""

import os
import signal
import urllib.error

import pytest
from tests.gateway.asking import QUESTION, get, metric, post
from tests.gateway.loopback import eventually, gateway, processes, traces_of

pytestmark = pytest.mark.process


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
