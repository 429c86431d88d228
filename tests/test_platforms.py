"""What works on Windows and macOS, tried on Linux: with the modules, calls and signals taken away that they lack.

docs/releasing.md says what works where. This shows that commands that answer from files need nothing of Unix; it does
not show how paths, consoles and locks of Windows behave. Left are calls that libraries make here because this is Linux
(users' numbers, ``uname``, ``sysconf``).
"""

import subprocess
import sys

import pytest
from tests.test_supply_chain import ROOT

AS_ON = """
import sys

def take_away(modules, calls, signals):
    import importlib.abc
    import os
    import signal
    import subprocess

    class Missing(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name in modules:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            return None

    for name in modules:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Missing())
    for name in calls:
        if hasattr(os, name):
            delattr(os, name)
    for name in signals:
        if hasattr(signal, name):
            delattr(signal, name)

take_away(*{lacks!r})
from freehold.cli.main import main
sys.argv = ["freehold", *sys.argv[1:]]
main()
"""
WINDOWS = (
    ["fcntl", "grp", "pwd", "resource", "syslog", "termios", "tty", "pty", "uvloop"],
    ["fork", "forkpty", "killpg", "getpgid", "getpgrp", "setpgid", "setsid",
     "sched_getaffinity", "nice", "getloadavg", "mkfifo", "chown", "fchown", "lchown", "statvfs", "posix_fadvise",
     "memfd_create", "pidfd_open", "wait3", "wait4", "WNOHANG"],
    ["SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGSTOP", "SIGCONT", "SIGCHLD", "SIGPIPE", "SIGALRM", "SIGQUIT",
     "pthread_kill", "pthread_sigmask", "setitimer", "siginterrupt"],
)  # fmt: skip
"""https://docs.python.org/3/library/os.html and signal.html, "Availability: Unix" (read 2026-11-29)."""
MACOS = (
    [],
    [
        "sched_getaffinity",
        "memfd_create",
        "pidfd_open",
        "posix_fadvise",
        "posix_fallocate",
        "sched_setaffinity",
    ],
    ["sigwaitinfo", "sigtimedwait"],
)
SYSTEMS = {"windows": WINDOWS, "macos": MACOS}


@pytest.fixture(params=SYSTEMS)
def freehold(request, tmp_path):
    program = tmp_path / "as_on.py"
    program.write_text(AS_ON.replace("{lacks!r}", repr(SYSTEMS[request.param])))

    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    environment["FREEHOLD_OFFLINE"] = "1"

    def run(*words, code=0):
        done = subprocess.run(
            [sys.executable, program, *map(str, words)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, (words, done.stderr[-2000:])
        return done

    return run


@pytest.mark.process
def test_what_is_taken_away_is_gone(freehold, request):
    assert freehold("--version").stdout.startswith("freehold")
    for words in (("up", "--no-engine"), ("init", "traffic.jsonl")) if _is_windows(request) else ():
        done = freehold(*words, code=2)
        assert "error: this command needs Linux or macOS" in done.stderr and "WSL 2" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.process
@pytest.mark.timeout(600)
def test_questions_on_files_are_answered(freehold, tmp_path):
    (tmp_path / "app.py").write_text('client.chat.completions.create(model="gpt-4o-2024-05-13")\n')
    assert "items" in freehold("power", "--margin", "0.02").stdout
    freehold("license", "google/gemma-3-270m")
    freehold("fit", "google/gemma-3-270m", "--machine", "L4")
    freehold("scan", "app.py", code=1)  # a model that is shut down was found


def _is_windows(request):
    return request.node.callspec.params["freehold"] == "windows"
