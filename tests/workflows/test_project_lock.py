"""One command at a time works through a project's steps."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from freehold.errors import BusyError
from freehold.workflows.project import open_project
from freehold.workflows.project_lock import FORGOTTEN_SECONDS, exclusive

HOLD = """
import sys, time
from freehold.workflows.project import open_project
from freehold.workflows.project_lock import exclusive
sys.argv = ["freehold", "migrate"]
with exclusive(open_project()):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return open_project()


@pytest.fixture
def holder(project):
    with subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_is_told_who_is_at_it(project, holder):
    with (
        pytest.raises(
            BusyError, match=f"freehold migrate works through .*: pid {holder.pid}, since"
        ) as refused,
        exclusive(project),
    ):
        pass
    assert refused.value.retryable and f"kill {holder.pid}" in refused.value.hint


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_owner_is_taken_over(project, holder, number):
    holder.send_signal(number)
    holder.wait()
    with exclusive(project) as owner:
        assert owner.pid == os.getpid()
    assert not (project.state / "steps.owner.json").exists()


def test_a_later_process_of_the_same_number_is_another(project):
    note = project.state / "steps.owner.json"
    with exclusive(project) as owner:
        told = json.loads(note.read_text())
    note.write_text(json.dumps({**told, "started": owner.started - 1000}))
    with exclusive(project):
        pass
    note.write_text(json.dumps(told))
    with pytest.raises(BusyError), exclusive(project):
        pass
    note.write_text("{")
    with exclusive(project):
        pass


def test_a_note_of_another_machine_holds_while_it_is_renewed(project):
    note = project.state / "steps.owner.json"
    with exclusive(project):
        told = json.loads(note.read_text())
    note.write_text(json.dumps({**told, "host": f"not-{socket.gethostname()}"}))
    with pytest.raises(BusyError, match=f"on not-{socket.gethostname()}"), exclusive(project):
        pass
    old = time.time() - FORGOTTEN_SECONDS - 60
    os.utime(note, (old, old))
    with exclusive(project) as owner:
        assert owner.host == socket.gethostname()


def test_it_is_given_back_after_an_error(project):
    with pytest.raises(ZeroDivisionError), exclusive(project):
        1 / 0  # noqa: B018
    with exclusive(project):
        pass
