"""The command line as a person meets it: what comes out, what is said, how it ends."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from typing import NamedTuple

import pytest
from tests.documents import check

from freehold.cli.main import main
from freehold.hardware import probes
from freehold.processes import claim_port
from freehold.store.damage import SEEN


class Ran(NamedTuple):
    """How a command ended: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def items(self):
        """What a command lists with ``--json``."""
        return self.json["items"]

    @property
    def fields(self):
        """What ``--json`` tells, without the name of its schema."""
        return {name: value for name, value in self.json.items() if name != "schema"}


@pytest.fixture
def freehold(monkeypatch, capsys, tmp_path):
    """Run ``freehold …`` in an empty folder, with a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(probes, "BLOCK_BYTES", 4 << 20)  # memory is measured in a moment

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["freehold", *map(str, arguments)])
        capsys.readouterr()
        SEEN.clear()
        code = 0
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code
        return Ran(code, *capsys.readouterr())

    return run


def pair(said, answer, *, model="gpt-4o", **more):
    """A request and its answer, as a log has them."""
    return {
        "request": {"model": model, "messages": [{"role": "user", "content": said}]},
        "response": {"choices": [{"message": {"role": "assistant", "content": answer}}]},
        **more,
    }


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def on_a_terminal(*words, folder, typed="", **environment):
    """What a command shows on a terminal of 80 columns, steering included; `typed` answers what it asks."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    known = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    told = {**known, "TERM": "xterm-256color", **environment}
    command = [sys.executable, "-m", "freehold", *words]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=told, cwd=folder
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += (part := os.read(ours, 65536))
            except OSError:  # the terminal's other end is closed
                break
            if not part:
                break
            if typed and b"once?" in shown:
                os.write(ours, typed.encode())
                typed = ""
        process.wait(60)
    os.close(ours)
    return shown.decode()


@pytest.fixture
def refused(freehold):
    """Run ``freehold …``, which ends with an error of one line that says `message`, and a hint that says `hint`."""

    def run(*arguments, message, hint=None):
        ran = freehold(*arguments)
        assert ran.code == 2, ran
        lines = ran.err.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        hints = [line for line in lines if line.startswith("hint: ")]
        assert len(errors) == 1 and message in errors[0], ran.err
        assert hint is None or (len(hints) == 1 and hint in hints[0]), ran.err
        assert "Traceback" not in ran.err

    return run


@pytest.fixture
def project(freehold, tmp_path):
    """A project without traffic: the folder the commands run in."""
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "support"\n'
        '[incumbent]\nmodel = "gpt-4o"\nbase_url = "http://127.0.0.1:1"\n'
        '[curate]\npersonal_data = "patterns"\n'
        '[serve]\nengine = "echo"\n'
    )
    return tmp_path


@pytest.fixture
def traffic(freehold, project):
    """A project whose store has 80 imported requests, half of them with a right answer."""
    rows = [
        pair(f"message {n}", "yes", gold="yes" if n % 2 else None, conversation_id=f"c{n // 2}")
        for n in range(80)
    ]
    write_lines(project / "traffic.jsonl", rows)
    assert freehold("import", "traffic.jsonl").code == 0
    return project


@pytest.fixture
def serving(freehold, project, tmp_path):
    """``freehold serve echo`` in the project's folder, really running; what it told about itself."""
    command = [sys.executable, "-m", "freehold", "serve", "echo", "--port", str(claim_port()), "--json"]
    with (
        (tmp_path / "serve.err").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=project) as process,
    ):
        try:
            told = ""
            while not told.endswith("\n}\n"):
                line = process.stdout.readline()
                assert line, (tmp_path / "serve.err").read_text()
                told += line
            yield check(told)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
