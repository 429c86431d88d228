"""The log of a gateway: bounded, and followed when it is renamed."""

import os
import signal
import subprocess
import sys

import pytest
from tests.gateway.asking import QUESTION, post
from tests.gateway.loopback import eventually, gateway, processes

from freehold.gateway.telemetry.log_file import ENVIRONMENT_NAME, KEPT, hangups_held, look

pytestmark = pytest.mark.process

FOLLOW = """
import sys
from freehold.gateway.telemetry.log_file import follow_log_file
print("starting", file=sys.stderr, flush=True)
sys.stdin.readline()
follow_log_file()
print("following", file=sys.stderr, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def output(tmp_path):
    file = os.open(tmp_path / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    yield file
    os.close(file)


def test_a_long_file_is_renamed_and_few_are_kept(tmp_path, output):
    path = tmp_path / "log"
    for turn in range(6):
        os.write(output, b"%d" % turn * 100)
        look(path, rotated_bytes=99, outputs=(output,))
    names = sorted(each.name for each in tmp_path.iterdir())
    assert names == ["log", *(f"log.{number}" for number in range(1, KEPT + 1))]
    assert path.read_bytes() == b"" and (tmp_path / "log.1").read_bytes() == b"5" * 100
    look(path, rotated_bytes=99, outputs=(output,))
    assert not (tmp_path / "log.4").exists()


def test_all_processes_of_a_gateway_follow_a_file_that_was_renamed(upstream, tmp_path):
    log = tmp_path / "gateway.log"
    with gateway(upstream, tmp_path, log_requests=True, workers=2) as running:
        post(running, QUESTION)
        eventually(lambda: '"request"' in log.read_text())
        log.rename(tmp_path / "moved.log")
        eventually(log.exists)

        def goes_on():
            post(running, QUESTION)
            return '"request"' in log.read_text()

        eventually(goes_on)


def test_a_rotation_that_signals_every_process_ends_none(upstream, tmp_path):
    """As logrotate does it with `postrotate`: rename, then SIGHUP."""
    log = tmp_path / "gateway.log"
    with gateway(upstream, tmp_path, log_requests=True, workers=2) as running:
        post(running, QUESTION)
        eventually(lambda: '"request"' in log.read_text())
        before = {one.pid for mark in ("worker", "recorder") for one in processes(running, mark)}
        for turn in range(3):
            log.rename(tmp_path / f"gateway.log.{turn + 1}")
            for pid in (running.process.pid, *before):
                os.kill(pid, signal.SIGHUP)
            eventually(log.exists)

            def goes_on():
                post(running, QUESTION)
                return '"request"' in log.read_text()

            eventually(goes_on)
        assert before == {one.pid for mark in ("worker", "recorder") for one in processes(running, mark)}


@pytest.fixture
def follower(tmp_path):
    """A process that follows the log `tmp_path / "log"` as soon as it is told to, and ends when it is told again."""
    path = tmp_path / "log"
    environment = {**os.environ, ENVIRONMENT_NAME: str(path)}
    with path.open("ab") as sink, hangups_held():
        process = subprocess.Popen(
            [sys.executable, "-c", FOLLOW],
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=sink,
            env=environment,
            bufsize=0,
        )
    yield process
    process.kill()
    process.communicate()


def test_a_process_that_is_told_while_it_starts_does_it_then(follower, tmp_path):
    """The default of SIGHUP would end it."""
    path = tmp_path / "log"
    eventually(lambda: b"starting" in path.read_bytes())
    path.rename(tmp_path / "log.1")
    follower.send_signal(signal.SIGHUP)
    follower.stdin.write(b"\n")
    eventually(path.exists)
    follower.stdin.write(b"\n")
    assert follower.wait(10) == 0


def test_a_process_that_is_told_again_while_it_is_told_goes_on(follower, tmp_path):
    follower.stdin.write(b"\n")
    path = tmp_path / "log"
    eventually(lambda: b"following" in path.read_bytes())
    for _ in range(100_000):
        os.kill(follower.pid, signal.SIGHUP)
    follower.stdin.write(b"\n")
    assert follower.wait(30) == 0
