"""A child process that is configured on stdin, restarted when it dies, and ends with its parent."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.gateway.loopback import eventually

from freehold.gateway import child_process
from freehold.gateway.child_process import ChildProcess
from freehold.gateway.config import GatewayConfig, to_json
from freehold.types.endpoint import Endpoint

pytestmark = pytest.mark.process

CONFIG = GatewayConfig(endpoints=(Endpoint(name="e", engine="remote", base_url="http://x"),), port=1234)
CHILD = """
import os, sys
from pathlib import Path
from freehold.gateway.child_process import read_config

config = read_config()
Path(sys.argv[1]).write_text(f"{config.port} {os.getpid()}")
while os.read(0, 4096):
    pass
"""
DEAF = CHILD.replace("while os.read(0, 4096):\n    pass", "import time; time.sleep(600)")


@pytest.fixture
def child(tmp_path, monkeypatch):
    """Start a child process of a module that a test writes; stopped at the end."""
    monkeypatch.setattr(child_process, "_RESTART_AFTER_S", 0.05)
    source = Path(child_process.__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{source}")
    started = []

    def start(code, config=CONFIG):
        (tmp_path / "a_child.py").write_text(code)
        started.append(
            ChildProcess("a_child", [str(tmp_path / "report")], to_json(config), environment=os.environ)
        )
        return started[-1]

    yield start
    for one in started:
        one.stop(5)


def report(folder):
    path = folder / "report"
    return path.read_text().split() if path.exists() else []


def test_a_hangup_waits_until_a_child_can_take_it(child, tmp_path):
    """A rotation of the log signals all processes, one that is starting among them."""
    said = "import signal; told = signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, ())"
    child(
        CHILD.replace("config = read_config()", f"{said}; config = read_config()").replace(
            "config.port", "told"
        )
    )
    assert eventually(lambda: report(tmp_path))[0] == "True"


def test_a_child_reads_its_configuration_and_ends_when_it_is_stopped(child, tmp_path):
    running = child(CHILD)
    port, pid = eventually(lambda: report(tmp_path))
    assert (int(port), int(pid)) == (1234, running.process_id)
    running.stop(5)
    assert not psutil.pid_exists(running.process_id)


def test_a_child_that_dies_is_restarted_with_the_same_configuration(child, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "freehold.gateway"):
        running = child(CHILD)
        first = eventually(lambda: report(tmp_path))
        psutil.Process(running.process_id).kill()
        second = eventually(lambda: report(tmp_path) != first and report(tmp_path))
    assert second[0] == "1234" and int(second[1]) == running.process_id
    messages = [record.getMessage() for record in caplog.records]
    assert "a_child ended with exit code -9 and is restarted" in messages


def test_a_child_that_was_asked_to_stop_is_not_restarted(child, tmp_path):
    running = child(CHILD)
    eventually(lambda: report(tmp_path))
    running.ask_to_stop()
    running.stop(5)
    running.ask_to_stop()
    assert not psutil.pid_exists(running.process_id)


def test_a_child_that_does_not_end_is_killed(child, tmp_path):
    running = child(DEAF)
    eventually(lambda: report(tmp_path))
    running.stop(0.2)
    eventually(lambda: not psutil.pid_exists(running.process_id))


@pytest.mark.parametrize("sent", [b"", (100).to_bytes(8, "big") + b"{half"])
def test_a_child_whose_parent_is_gone_ends_without_a_word(sent):
    code = "from freehold.gateway.child_process import read_config; read_config(); print('went on')"
    ended = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_a_long_configuration_in_pieces_arrives_whole(tmp_path):
    long = GatewayConfig(endpoints=CONFIG.endpoints, attributions={"a": "x" * 300_000})
    data = to_json(long)
    code = "from freehold.gateway.child_process import read_config as r; print(len(r().attributions['a']))"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        input=len(data).to_bytes(8, "big") + data,
        capture_output=True,
        timeout=60,
    )
    assert ended.stdout.strip() == b"300000"
