"""What a worker holds for the recorder."""

import time

import pytest
from tests.gateway.asking import QUESTION, metric, post
from tests.gateway.loopback import eventually, gateway, processes, traces_of

from freehold.gateway.config import ApiKey
from freehold.gateway.limits.keys import hash_of
from freehold.types.route import Limits

pytestmark = pytest.mark.process


def test_a_recorder_that_is_killed_is_started_again_and_loses_nothing(upstream, tmp_path):
    key = ApiKey(name="web", hash=hash_of("web-key"), limits=Limits(tokens_per_minute=10_000))
    watching = ApiKey(name="watching", hash=hash_of("w"), role="read")
    with gateway(upstream, tmp_path, api_keys=(key, watching)) as running:
        shown = {"Authorization": "Bearer web-key"}
        post(running, QUESTION, headers=shown)
        eventually(lambda: len(traces_of(running)) == 1)
        recorder = processes(running, "recorder")[0]
        recorder.suspend()  # So that it certainly dies with traces it was sent and has not written.
        for _ in range(5):
            assert post(running, QUESTION, headers=shown)[0] == 200
        time.sleep(0.5)
        recorder.kill()
        assert post(running, QUESTION, headers=shown)[0] == 200
        eventually(lambda: len(traces_of(running)) == 7)
        eventually(lambda: metric(running, "freehold_traces_captured", key="w") == 7)
        time.sleep(0.5)
        assert len(traces_of(running)) == 7, "and none is there twice"
