"""Settings that all tests share."""

import atexit
import contextlib
import gc
import itertools
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from tests.documents import check

from freehold.cli.documents import document
from freehold.errors import FreeholdError
from freehold.types.audit import change_source, change_why
from freehold.workflows import project
from freehold.workflows.project import open_project

# Collecting tests makes millions of objects that stay: to look through them for garbage takes as long as to make them.
gc.disable()

# A deadline fails on a busy machine, not on a wrong program; the timeout of each test catches what hangs.
settings.register_profile("explore", deadline=None, max_examples=1000)
# The same examples in each run, so that a failure is of the change. FREEHOLD_TEST_HYPOTHESIS=explore draws new ones.
settings.register_profile("freehold", deadline=None, derandomize=True, max_examples=25)
settings.load_profile(os.environ.get("FREEHOLD_TEST_HYPOTHESIS", "freehold"))


def pytest_make_parametrize_id(config, val, argname):
    """Bytes that aren't text by their length: packed ones may hold the second in which they were packed, and the
    processes that share the tests must name all of them alike."""
    return f"{argname}-{len(val)}-bytes" if isinstance(val, bytes) and not val.isascii() else None


# What is made once for several tests has no test's own ledger of looks.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="tests-of-freehold-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

# What a test writes is its own: a project is trusted once it is opened.
STRANGERS = project.reach_of


def _agreed(config, path, settings):
    found = STRANGERS(config, path, settings)
    if found.new:
        project.agree(path, found.all)
    return msgspec.structs.replace(found, new=())


project.reach_of = _agreed


def _trust_started(event: str, arguments: tuple) -> None:
    """The same for the projects that a `freehold …` is started on."""
    if event != "subprocess.Popen" or "freehold" not in (words := list(map(str, arguments[1]))):
        return
    folder, environment = Path(arguments[2] or "."), arguments[3] or os.environ
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOME", "XDG_STATE_HOME"):
            if name in environment:
                patch.setenv(name, environment[name])
            else:
                patch.delenv(name, raising=False)
        for place in {folder, *(folder / word.rpartition("=")[2] for word in words)}:
            with contextlib.suppress(FreeholdError, OSError):
                if "freehold.toml" in (place.name, *(one.name for one in place.glob("*.toml"))):
                    open_project(place)


sys.addaudithook(_trust_started)

# A shell ignores SIGINT for what it runs in the background, and a process inherits that: what tests start must not.
signal.signal(signal.SIGINT, signal.default_int_handler)

STARTS = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty")
QUICK = {"uname", "ldconfig", "gcc", "cc", "ld", "objdump"}
"""What the standard library asks about the machine."""
MARKS = {"process", "weights", "postgres", "browser"}
_item: list[pytest.Item] = []
_numbers = itertools.count()


def _refuse_processes(event: str, arguments: tuple) -> None:
    """A process takes as long as a hundred tests: a mark says which tests start one."""
    if event not in STARTS or not _item or MARKS & {mark.name for mark in _item[0].iter_markers()}:
        return
    program = str(arguments[0] or arguments[1][0]) if arguments else ""
    if program.rpartition("/")[2] not in QUICK:
        raise AssertionError(f"{event} {arguments[:2]}: mark the test `process`")


sys.addaudithook(_refuse_processes)


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    _item[:] = [item]
    try:
        return (yield)
    finally:
        _item.clear()


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    """Output is as in a pipe, however wide the terminal is in which the tests run; COLUMNS still counts."""

    def size(fallback=(80, 24)):
        columns = int(os.environ.get("COLUMNS") or 0)
        return os.terminal_size((columns or fallback[0], fallback[1]))

    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(shutil, "get_terminal_size", size)


@pytest.fixture(autouse=True)
def no_look_elsewhere(monkeypatch, tmp_path_factory):
    """Each test has a ledger of looks of its own, its processes too; never the one of who runs the tests."""
    monkeypatch.setenv("XDG_STATE_HOME", f"{tmp_path_factory.getbasetemp()}/state-{next(_numbers)}")


@pytest.fixture(autouse=True)
def no_reason_stays():
    """A line of help that is read but not run, or a handler that is called by itself, leaves the reason of its change
    in the context that all tests have in common."""
    kept = [(variable, variable.set(variable.get())) for variable in (change_source, change_why)]
    yield
    for variable, token in kept:
        variable.reset(token)


@pytest.fixture(autouse=True)
def printed_as_published(monkeypatch):
    """Whatever a test prints with `--json` is what its schema says."""

    def checked(value, schema):
        made = document(value, schema)
        check(made)
        return made

    monkeypatch.setattr("freehold.cli.documents.document", checked)
