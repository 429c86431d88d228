"""Which process a state file means: a living one, an ended one, one elsewhere or of a copied folder; and ports."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys

import msgspec
import psutil
import pytest

from freehold import processes
from freehold.errors import ConfigError, PortInUseError
from freehold.processes import RunningProcess, claim_port, described, is_alive, standing, this_process

pytestmark = pytest.mark.process


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def test_a_process_is_alive_until_it_ends_even_while_its_parent_has_not_noticed(sleeper, tmp_path):
    found = msgspec.convert(described(sleeper.pid, tmp_path), RunningProcess)
    assert standing(found, tmp_path) == "alive" and is_alive(this_process())
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is a zombie now
    assert psutil.Process(sleeper.pid).status() == psutil.STATUS_ZOMBIE
    assert standing(found, tmp_path) == "ended"
    sleeper.wait()
    assert standing(found, tmp_path) == "ended"


def test_a_later_process_of_the_same_number_is_another(sleeper):
    found = this_process()
    assert standing(msgspec.structs.replace(found, pid=sleeper.pid)) == "ended"


def test_the_start_of_a_process_tells_it_from_others_until_it_has_ended(sleeper, monkeypatch):
    begun = processes.start_of(sleeper.pid)
    assert begun == processes.start_of(sleeper.pid) and begun != processes.start_of(os.getpid())
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert processes.start_of(sleeper.pid) is None
    sleeper.wait()
    assert processes.start_of(sleeper.pid) is None


def test_without_proc_the_start_tells(sleeper, monkeypatch):
    monkeypatch.setattr(processes, "_place", lambda: None)
    found = msgspec.convert(described(sleeper.pid), RunningProcess)
    assert found.birth is None and is_alive(found)
    assert standing(msgspec.structs.replace(found, started=found.started - 60)) == "ended"
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert standing(found) == "ended"


def test_another_host_and_another_boot_cannot_be_seen_from_here():
    found = this_process()
    assert standing(msgspec.structs.replace(found, host="elsewhere.example")) == "elsewhere"
    if found.birth is not None:
        assert standing(msgspec.structs.replace(found, birth="0-1-2/pid:[1]/55")) == "elsewhere"


def test_a_copied_folder_is_told_from_a_moved_one(tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    found = this_process(here)
    shutil.copytree(here, tmp_path / "copy")
    assert standing(found, tmp_path / "copy") == "copied"
    here.rename(tmp_path / "moved")
    assert standing(found, tmp_path / "moved") == "alive"
    assert standing(found, tmp_path / "gone") == "copied"


# The signal goes to another thread, as one does that comes before the wait: nothing wakes the one that waits.
UNWOKEN = """
import os, signal, threading, time
from concurrent.futures import Future
from freehold.api.calling import result_of

is_masked = threading.Event()

def interrupt():
    is_masked.wait()
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Thread(target=interrupt).start()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
try:
    is_masked.set()
    result_of(Future())
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.process
def test_ctrl_c_is_noticed_by_one_that_it_did_not_wake():
    done = subprocess.run([sys.executable, "-c", UNWOKEN], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr


def test_a_port_in_use_is_refused():
    with socket.create_server(("127.0.0.1", claim_port())) as listening:
        taken = listening.getsockname()[1]
        with pytest.raises(PortInUseError, match=str(taken)):
            claim_port("127.0.0.1", taken)
    assert claim_port("127.0.0.1", taken) == taken


def test_a_free_port_is_nobody_elses_until_it_is_listened_on():
    claimed = {claim_port() for _ in range(100)}
    with contextlib.ExitStack() as others:
        given = set()
        for _ in range(600):
            one = others.enter_context(socket.create_server(("127.0.0.1", 0)))
            given.add(one.getsockname()[1])
    assert len(claimed) == 100 and not claimed & given
    for port in claimed:
        socket.create_server(("127.0.0.1", port)).close()


def test_an_address_of_another_machine_cannot_be_listened_on():
    for port in (0, 8420):
        with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1"):
            claim_port("192.0.2.1", port)
    with pytest.raises(ConfigError, match="not the name of a host"):
        claim_port("\u202e")
