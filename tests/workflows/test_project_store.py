"""One of a kind at a time in a project: who holds the lock, and what becomes of it when the holder has died."""

import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.workflows.shift.shifting import trace

from freehold.errors import UsageError
from freehold.processes import described
from freehold.store import leases, open_store
from freehold.workflows import project_store
from freehold.workflows.project import open_project
from freehold.workflows.project_store import (
    LEASE_SECONDS,
    LockedError,
    LockHolder,
    one_at_a_time,
    opened_store,
)


def test_the_projects_store_is_open_for_as_long_as_the_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = open_project()
    with opened_store(project) as (store, same):
        store.add_traces([trace(1)])
        assert same is project and store.url == project.store_url
    with opened_store(project) as (again, _), pytest.raises(ValueError, match="mine"):
        assert again.count_traces() == 1
        raise ValueError("mine")


HOLD = """
import sys, time
from freehold.store import open_store
from freehold.workflows.project_store import one_at_a_time
with open_store(sys.argv[1]) as store, one_at_a_time(store, "migration"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'freehold.sqlite'}"


@pytest.fixture
def holder(url):
    """Another process that holds the lock."""
    command = [sys.executable, "-c", HOLD, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def held_by(store, *, silent_seconds, **changes):
    """A lock taken some time ago, by this process but for `changes`."""
    now = datetime.now(UTC)
    fields = {
        **described(os.getpid(), project_store._folder(store)),
        "command": "freehold migrate",
        "since": now,
    }
    owner = msgspec.json.encode(msgspec.convert({**fields, **changes}, LockHolder)).decode()
    at = now - timedelta(seconds=silent_seconds)
    assert leases.take(store.database, "migration", owner, at=at, seconds=LEASE_SECONDS)


@pytest.mark.process
def test_a_second_process_is_told_who_holds_it_and_goes_on_when_that_was_killed(url, holder):
    said = []
    with open_store(url) as store:
        with pytest.raises(LockedError) as refused, one_at_a_time(store, "migration"):
            pass
        assert f"process {holder.pid} on " in refused.value.message
        assert refused.value.hint == f"wait for it, or stop it: kill {holder.pid}"
        assert refused.value.held.holder.pid == holder.pid and refused.value.held.where == "alive"
        holder.kill()
        holder.wait()
        with one_at_a_time(store, "migration", say=said.append):
            owner, _ = leases.held(store.database, "migration")
            assert msgspec.json.decode(owner, type=LockHolder).pid == os.getpid()
        assert len(said) == 1 and f"process {holder.pid}" in said[0]
        assert leases.held(store.database, "migration") is None


def test_a_holder_that_lives_here_keeps_it_however_silent_it_is(url):
    with open_store(url) as store:
        held_by(store, silent_seconds=3 * LEASE_SECONDS)
        with pytest.raises(LockedError), one_at_a_time(store, "migration"):
            pass


@pytest.mark.parametrize(("silent_seconds", "free"), [(LEASE_SECONDS / 2, False), (LEASE_SECONDS + 5, True)])
def test_a_holder_on_another_machine_keeps_it_for_a_lease(url, silent_seconds, free):
    with open_store(url) as store:
        held_by(store, silent_seconds=silent_seconds, host="other.example")
        if free:
            with one_at_a_time(store, "migration"):
                pass
        else:
            with (
                pytest.raises(LockedError, match=r"on other\.example") as refused,
                one_at_a_time(store, "migration"),
            ):
                pass
            assert refused.value.held.where == "elsewhere" and not refused.value.held.free
            assert "goes on here in" in refused.value.hint


def test_what_another_version_wrote_is_believed_for_a_lease(url):
    with open_store(url) as store:
        leases.take(store.database, "migration", "host:17", at=datetime.now(UTC), seconds=LEASE_SECONDS)
        with pytest.raises(LockedError, match="host:17"), one_at_a_time(store, "migration"):
            pass


@pytest.mark.process
def test_the_lock_in_a_copy_of_the_store_is_not_the_originals(tmp_path, url, holder):
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in tmp_path.glob("freehold.sqlite*"):
        shutil.copy(file, copy)
    with (
        open_store(f"sqlite:///{copy / 'freehold.sqlite'}") as store,
        one_at_a_time(store, "migration", say=pytest.fail),
    ):
        pass


def test_it_is_prolonged_and_its_loss_is_noticed(url, monkeypatch):
    monkeypatch.setattr(project_store, "PROLONG_SECONDS", 0.05)
    with open_store(url) as store, one_at_a_time(store, "migration") as lock:
        first = leases.held(store.database, "migration")[1]
        wait_for(lambda: leases.held(store.database, "migration")[1] > first)
        lock.check()
        owner = leases.holder(store.database, "migration")
        assert leases.take_from(
            store.database, "migration", "another", owner, at=datetime.now(UTC), seconds=LEASE_SECONDS
        )
        wait_for(lambda: lock._lost)
        with pytest.raises(UsageError, match="another one took its place"):
            lock.check()
    with open_store(url) as store:
        assert leases.holder(store.database, "migration") == "another", "what is not held is not given back"


def wait_for(happens, seconds=30):
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
