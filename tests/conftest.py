"""Settings that all tests share."""

import os
import shutil

import pytest
from hypothesis import settings
from tests.documents import check

from freehold.cli.documents import document
from freehold.types.audit import change_source, change_why

# A deadline fails on a busy machine, not on a wrong program; the timeout of each test catches what hangs.
settings.register_profile("explore", deadline=None, max_examples=1000)
# The same examples in each run, so that a failure is of the change. FREEHOLD_TEST_HYPOTHESIS=explore draws new ones.
settings.register_profile("freehold", deadline=None, derandomize=True)
settings.load_profile(os.environ.get("FREEHOLD_TEST_HYPOTHESIS", "freehold"))


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    """Output is as in a pipe, however wide the terminal is in which the tests run; COLUMNS still counts."""

    def size(fallback=(80, 24)):
        columns = int(os.environ.get("COLUMNS") or 0)
        return os.terminal_size((columns or fallback[0], fallback[1]))

    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(shutil, "get_terminal_size", size)


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
