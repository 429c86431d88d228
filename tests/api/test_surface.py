"""What `import freehold` promises: names and signatures change only on purpose, and nothing heavy is imported.

After a change on purpose: ``python -m tests.api.test_surface`` writes the list again; say in CHANGELOG.md what changed.
"""

import asyncio
import inspect
import json
import re
import signal
import subprocess
import sys
import threading
from contextvars import ContextVar
from pathlib import Path

import anyio
import pytest

import freehold
from freehold.api.calling import blocking, finished, watched
from freehold.api.traffic import ProjectCare, ProjectTraffic
from freehold.progress import ProgressLines, Silent

LIST = Path(__file__).with_name("surface.txt")


def signatures(name, value):
    """``name(parameters) -> result``; of a class made here, each public member."""
    if not inspect.isclass(value):
        yield f"{name}{inspect.signature(value)}"
    elif value.__module__.startswith("freehold.api") or name == "Project":
        for member, what in sorted(inspect.getmembers(value)):
            if not member.startswith("_"):
                yield f"{name}.{member}" + (
                    "" if isinstance(what, property) else str(inspect.signature(what))
                )
    else:
        yield f"{name}: {value.__module__}"


def surface():
    lines = []
    for name in freehold.__all__:
        if name != "__version__":
            lines += signatures(name, getattr(freehold, name))
    for kind in (ProjectTraffic, ProjectCare):
        lines += signatures(kind.__name__, kind)
    return "\n".join(lines) + "\n"


def test_the_surface_is_the_one_that_was_promised():
    assert surface() == LIST.read_text(), "on purpose? python -m tests.api.test_surface"


def test_about_fifteen_names_each_with_a_docstring():
    names = [name for name in freehold.__all__ if name != "__version__"]
    assert len(names) <= 18 and set(names) == set(freehold._PUBLIC)
    for name in names:
        assert inspect.getdoc(getattr(freehold, name)), name
    for member, what in inspect.getmembers(freehold.Project):
        assert member.startswith("_") or inspect.getdoc(what), member


def test_what_type_checkers_read_is_what_is_imported():
    told, text = {}, Path(freehold.__file__).with_suffix(".pyi").read_text()
    for module, name in re.findall(r"^from (\S+) import (\w+)", text, re.MULTILINE):
        told[name] = f"{module}:{name}"
    for name, other in re.findall(r"^(\w+) = (\w+)$", text, re.MULTILINE):
        told[name] = told.pop(other)
    assert told == freehold._PUBLIC


@pytest.mark.process
def test_importing_freehold_imports_none_of_its_rooms():
    command = (
        "import freehold, sys, json; print(json.dumps(sorted(n for n in sys.modules if 'freehold' in n)))"
    )
    ran = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == ["freehold"]


def test_names_that_do_not_exist_are_said():
    with pytest.raises(AttributeError, match="no attribute 'migrat'"):
        _ = freehold.migrat
    assert {"Project", "compare", "files"} <= {*dir(freehold), "files"}
    from freehold import files

    assert files.__name__ == "freehold.files"


if __name__ == "__main__":
    LIST.write_text(surface())


SAID = ContextVar("SAID", default="nothing")


@blocking
def answered(what):
    async def work():
        await anyio.sleep(0)
        return what, threading.current_thread() is threading.main_thread(), SAID.get()

    return finished(work)


def test_without_a_loop_the_work_runs_where_it_was_called():
    assert answered("yes") == ("yes", True, "nothing")


def test_within_a_loop_it_runs_in_a_thread_with_what_was_set_there():
    async def notebook():
        SAID.set("why")
        return answered("yes")

    assert asyncio.run(notebook()) == ("yes", False, "why")


def test_errors_come_out_as_they_are():
    @blocking
    def fails():
        raise LookupError("gone")

    async def notebook():
        fails()

    with pytest.raises(LookupError, match="gone"):
        asyncio.run(notebook())


STOPPED = """
import asyncio, sys, time
from freehold.api.calling import blocking

@blocking
def work():
    try:
        print("works", flush=True)
        while True:
            time.sleep(0.01)
    except KeyboardInterrupt:
        print("put away", flush=True)
        raise


async def cell():
    try:
        work()
    except KeyboardInterrupt:
        print("stopped", flush=True)

import signal
loop = asyncio.new_event_loop()
signal.signal(signal.SIGINT, signal.default_int_handler)
loop.run_until_complete(cell())
"""


@pytest.mark.process
def test_what_stops_the_caller_stops_the_work():
    with subprocess.Popen([sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "works\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read().splitlines() == ["put away", "stopped"]
    assert process.returncode == 0


def test_the_callers_own_is_taken():
    own = Silent()
    assert watched(own) is own


def test_all_get_lines_that_cannot_steer_a_terminal(capsys):
    shown = watched(None)
    assert isinstance(shown, ProgressLines)
    shown.step("import \x1b[31mred")
    assert capsys.readouterr().err == "· import \\x1b[31mred\n"
