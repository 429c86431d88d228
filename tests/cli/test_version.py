"""`freehold --version`, for people and for reports of faults."""

import json
from importlib import metadata

import pytest

from freehold import __version__
from freehold.cli.version import installed_extras


def test_people_get_one_line(freehold):
    ran = freehold("--version")
    assert (ran.code, ran.out) == (0, f"freehold, version {__version__}\n")


@pytest.mark.parametrize("words", [("--version", "--json"), ("--json", "--version")])
def test_programs_get_a_document(freehold, words):
    ran = freehold(*words)
    told = json.loads(ran.out)
    assert ran.code == 0 and told["schema"] == "freehold.version/1" and told["version"] == __version__
    assert told["python"].startswith("3.") and told["system"]


def test_json_alone_is_not_understood(freehold):
    ran = freehold("--json")
    assert ran.code == 2 and "--json goes behind a command's name" in ran.err


def test_extras_are_whole_or_not(monkeypatch):
    wanted = [
        "click>=8", "click>=8; extra == 'one'", "no-such-package-here>=1; extra == 'two'", "click; extra == 'two'",
        "no-such-package-here; sys_platform == 'win32' and extra == 'one'", "freehold[one]; extra == 'all'",
    ]  # fmt: skip
    monkeypatch.setattr(metadata, "requires", lambda name: wanted)
    assert installed_extras() == {"all": True, "one": True, "two": False}

    def gone(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", gone)
    assert installed_extras() == {}
