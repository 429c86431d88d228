"""How many threads an engine gets that answers beside other work."""

import threading

import msgspec
import pytest

from freehold.settings import load
from freehold.types.endpoint import ServePlan
from freehold.types.progress import Silent
from freehold.workflows import free_cores

PLAN = ServePlan(engine="llamacpp", model="m")


class Said(Silent):
    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@pytest.fixture
def busy(monkeypatch):
    def make(cores, of):
        monkeypatch.setattr(free_cores, "usable_cores", lambda: of)
        monkeypatch.setattr(free_cores, "busy_cores", lambda: cores)

    return make


@pytest.mark.parametrize(
    ("cores", "of", "asked", "threads"),
    [
        (0.3, 2, None, None),  # nearly idle: as it was
        (1.0, 2, None, 1),
        (2.0, 2, None, 1),  # one at least
        (5.9, 16, None, 10),
        (5.9, 16, 8, 8),  # fewer than are free: as it was
        (5.9, 16, 12, 10),
    ],
)
def test_only_free_cores_are_taken(busy, cores, of, asked, threads):
    busy(cores, of)
    said = Said()
    plan = msgspec.structs.replace(PLAN, threads=asked)
    assert free_cores.for_a_job(plan, load({}), said).threads == threads
    assert len(said.lines) == (threads != asked)


def test_what_was_asked_for_and_other_engines_stay(busy):
    busy(2.0, 2)
    assert free_cores.for_a_job(PLAN, load({"FREEHOLD_THREADS": "2"}), Said()) is PLAN
    echo = ServePlan(engine="echo", model="echo")
    assert free_cores.for_a_job(echo, load({}), Said()) is echo


def test_a_busy_core_shows():
    stop = threading.Event()

    def spin():
        while not stop.is_set():
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        assert free_cores.busy_cores() > 0.5
    finally:
        stop.set()
        thread.join()


def test_cores_that_cannot_be_read_count_as_idle(monkeypatch):
    def refuse(percpu):
        raise PermissionError

    monkeypatch.setattr(free_cores.psutil, "cpu_times", refuse)
    assert free_cores.busy_cores(0) == 0
