"""The observer as a child process: started again after a kill, ended with the process that started it."""

import os
import signal
import time

import psutil
import pytest

from freehold.store import default_url
from freehold.workflows.shift import observer_process
from freehold.workflows.shift.observer_process import ObserverConfig, ObserverProcess


@pytest.fixture
def observer(tmp_path):
    child = ObserverProcess(ObserverConfig(store_url=default_url(tmp_path)), tmp_path / "observer.log")
    yield child
    child.stop()


def kill(process_id):
    os.kill(process_id, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(process_id) and psutil.Process(process_id).status() != "zombie":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_that_lives_is_left_alone(observer):
    first = observer.pid
    observer.tend()
    assert observer.pid == first and psutil.pid_exists(first)


def test_one_that_died_is_started_again_after_a_pause(observer, monkeypatch):
    first = observer.pid
    monkeypatch.setattr(observer_process, "RESTART_PAUSE_S", 600.0)
    kill(first)
    observer.tend()
    assert observer.pid == first, "not in a loop without a pause"
    monkeypatch.setattr(observer_process, "RESTART_PAUSE_S", 0.0)
    observer.tend()
    assert observer.pid != first and psutil.pid_exists(observer.pid)


def test_it_ends_when_its_input_is_closed(observer):
    observer.stop(timeout_s=30.0)
    assert not psutil.pid_exists(observer.pid)


def test_one_that_does_not_end_is_killed(observer):
    os.kill(observer.pid, signal.SIGSTOP)
    observer.stop(timeout_s=0.1)
    assert not psutil.pid_exists(observer.pid)
