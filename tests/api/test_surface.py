"""What `import freehold` promises: names and signatures change only on purpose, and nothing heavy is imported.

After a change on purpose: ``python -m tests.api.test_surface`` writes the list again; say in CHANGELOG.md what changed.
"""

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import freehold
from freehold.api.traffic import ProjectCare, ProjectTraffic

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
    from freehold import files  # a module still is one

    assert files.__name__ == "freehold.files"


if __name__ == "__main__":
    LIST.write_text(surface())
