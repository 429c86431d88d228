"""Where a call says how far it is."""

import sys
from types import SimpleNamespace

from freehold.api.watching import watched
from freehold.progress_lines import ProgressLines
from freehold.types.progress import Silent


def test_the_callers_own_is_taken():
    own = Silent()
    assert watched(own) is own


def test_a_terminal_gets_lines_that_cannot_steer_it_and_a_pipe_nothing(monkeypatch, capsys):
    assert type(watched(None)) is Silent
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = watched(None)
    assert isinstance(shown, ProgressLines)
    shown.step("import \x1b[31mred")
    assert capsys.readouterr().err == "· import \\x1b[31mred\n"


def test_a_notebook_gets_lines(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: object()))
    assert isinstance(watched(None), ProgressLines)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert type(watched(None)) is Silent
