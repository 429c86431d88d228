"""The observer as a child process: started again after a kill, ended with the process that started it."""

import os
import signal
import time
from contextlib import ExitStack

import psutil
import pytest
from tests.workflows.shift.shifting import begun, mirrored

from freehold.store import default_url, open_store
from freehold.types.config import parse
from freehold.workflows.shift import following
from freehold.workflows.shift.following import ObserverConfig, ObserverProcess, environment_of

pytestmark = pytest.mark.process


@pytest.fixture
def observing(tmp_path):
    """Begins the observer of this folder's store, which follows the file that is named."""
    with ExitStack() as stack:

        def begin(config_path=None):
            config = ObserverConfig(
                store_url=default_url(tmp_path), config_path=config_path, look_seconds=0.1
            )
            child = ObserverProcess(config, tmp_path / "observer.log")
            stack.callback(child.stop)
            return child

        yield begin


@pytest.fixture
def observer(observing):
    return observing()


def eventually(claim, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def secrets_of(process_id):
    """Which secrets a process was given. For a moment after its start there is nothing to read."""
    eventually(psutil.Process(process_id).environ)
    return set(SECRETS) & set(psutil.Process(process_id).environ())


def kill(process_id):
    os.kill(process_id, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(process_id) or psutil.Process(process_id).status() == "zombie")


def test_one_that_lives_is_left_alone(observer):
    first = observer.pid
    observer.tend()
    assert observer.pid == first and psutil.pid_exists(first)


def test_one_that_died_is_started_again_after_a_pause(observer, monkeypatch):
    first = observer.pid
    monkeypatch.setattr(following, "RESTART_PAUSE_S", 600.0)
    kill(first)
    observer.tend()
    assert observer.pid == first, "not in a loop without a pause"
    monkeypatch.setattr(following, "RESTART_PAUSE_S", 0.0)
    observer.tend()
    assert observer.pid != first and psutil.pid_exists(observer.pid)


def test_it_ends_when_its_input_is_closed(observer):
    observer.stop(timeout_s=30.0)
    assert not psutil.pid_exists(observer.pid)


def test_one_that_does_not_end_is_killed(observer):
    os.kill(observer.pid, signal.SIGSTOP)
    observer.stop(timeout_s=0.1)
    assert not psutil.pid_exists(observer.pid)


WATCHED = '[app]\nname = "x"\n[watch]\nwebhook_env = "HOOK_SECRET"\n'
JURY = (
    '[task]\nscorer = "judge"\n[task.options]\nbase_url = "http://127.0.0.1:1"\napi_key_env = "JUDGE_KEY"\n'
    '[[task.options.others]]\napi_key_env = "SECOND_KEY"\n'
)
SECRETS = {"HOOK_SECRET": "a", "JUDGE_KEY": "b", "SECOND_KEY": "c", "SHOP_KEY": "d", "PGPASSWORD": "e"}


@pytest.fixture
def secrets(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("url", "text", "known"),
    [
        ("sqlite:///x", '[app]\nname = "x"\n', set()),
        ("sqlite:///x", WATCHED, {"HOOK_SECRET"}),
        ("sqlite:///x", WATCHED + JURY, {"HOOK_SECRET", "JUDGE_KEY", "SECOND_KEY"}),
        ("postgresql://db/x", WATCHED, {"HOOK_SECRET", "PGPASSWORD"}),
    ],
)
def test_it_is_given_what_the_file_says_it_needs(secrets, url, text, known):
    assert set(SECRETS) & set(environment_of(url, parse(text))) == known


def test_it_is_started_again_when_the_file_names_another_variable(secrets, observing, tmp_path, monkeypatch):
    monkeypatch.setattr(following, "RESTART_PAUSE_S", 0.0)
    file = tmp_path / "freehold.toml"
    file.write_text('[app]\nname = "x"\n')
    child = observing(str(file))
    first = child.pid
    assert not secrets_of(first)
    file.write_text(WATCHED)
    eventually(lambda: child.tend() or child.pid != first)
    assert secrets_of(child.pid) == {"HOOK_SECRET"}
    second = child.pid
    file.write_text(WATCHED + "# nothing else\n")
    child.tend()
    file.write_text("[app")
    child.tend()
    time.sleep(0.3)
    child.tend()
    assert child.pid == second


WITH_INCUMBENT = '[app]\nname = "x"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "http://127.0.0.1:1"\n'


def test_it_rolls_back_survives_a_kill_and_follows_the_file(observing, tmp_path):
    file = tmp_path / "freehold.toml"
    file.write_text(WITH_INCUMBENT)
    observer = observing(str(file))
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
        file.write_text(WITH_INCUMBENT + '[[routes]]\nname = "vip"\nmodel = "*"\n')
        eventually(lambda: [route.name for route in store.routes()] == ["support", "vip"])
        file.write_text(WITH_INCUMBENT + "[[routs]]\n")
        eventually(lambda: "did you mean" in log.read_text() or "unknown key routs" in log.read_text())
        assert len(store.routes()) == 2
