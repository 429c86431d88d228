"""A worker process."""

import time

import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import eventually, gateway, processes

pytestmark = pytest.mark.process


def test_a_worker_that_is_killed_takes_only_its_own_requests_with_it(upstream, tmp_path):
    with gateway(upstream, tmp_path, workers=2, capture="off") as running:
        first = processes(running, "worker")
        assert len(first) == 2
        first[0].kill()
        outcomes = []
        for _ in range(60):
            try:
                outcomes.append(post(running, QUESTION)[0])
            except OSError:
                outcomes.append(0)
            time.sleep(0.02)
        assert outcomes[-20:] == [200] * 20
        eventually(lambda: len(processes(running, "worker")) == 2)
