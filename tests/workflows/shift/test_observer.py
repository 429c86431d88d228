"""The process next to the gateway: it rolls back although no person watches."""

import os
import signal
import time

import pytest
from tests.workflows.shift.shifting import begun, mirrored

from freehold.store import default_url, open_store
from freehold.workflows.shift.observer_process import ObserverConfig, ObserverProcess

pytestmark = pytest.mark.process

HEAD = '[app]\nname = "x"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "http://127.0.0.1:1"\n'


def eventually(claim, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def observer(tmp_path):
    (tmp_path / "freehold.toml").write_text(HEAD)
    child = ObserverProcess(
        ObserverConfig(
            store_url=default_url(tmp_path), config_path=str(tmp_path / "freehold.toml"), look_seconds=0.1
        ),
        tmp_path / "observer.log",
    )
    yield child
    child.stop()


def test_it_rolls_back_survives_a_kill_and_follows_the_file(observer, tmp_path):
    with open_store(default_url(tmp_path)) as store:
        begun(store)
        os.kill(observer.pid, signal.SIGKILL)
        for number in range(60):
            store.add_traces(mirrored(number, wrong=number % 2 == 0))
        dead = observer.pid
        eventually(lambda: observer.tend() or observer.pid != dead)
        eventually(lambda: store.routes()[0].state == "rolled_back")
        assert store.route_history("support")[-1].who == "freehold"
        log = tmp_path / "observer.log"
        eventually(lambda: "route support rolled back: quality" in log.read_text())
        file = tmp_path / "freehold.toml"
        file.write_text(HEAD + '[[routes]]\nname = "vip"\nmodel = "*"\n')
        eventually(lambda: [route.name for route in store.routes()] == ["support", "vip"])
        file.write_text(HEAD + "[[routs]]\n")
        eventually(lambda: "did you mean" in log.read_text() or "unknown key routs" in log.read_text())
        assert len(store.routes()) == 2
