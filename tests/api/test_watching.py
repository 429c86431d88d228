"""Where a call says how far it is."""

import sys
from types import SimpleNamespace

from freehold.api.watching import NotebookProgress, watched
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


def test_a_notebook_gets_one_output_that_follows(monkeypatch):
    shown = []
    handle = SimpleNamespace(update=lambda data, raw: shown.append(data))

    def display(data, raw, display_id):
        shown.append(data)
        return handle

    kernel = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: kernel))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    progress = watched(None)
    assert isinstance(progress, NotebookProgress)
    progress.step("learn <b>")
    progress.update(10, 10, unit="steps", note="loss 0.1")
    progress.say("done")
    assert [one["text/plain"] for one in shown] == [
        "learn <b>",
        "learn <b>: 10 of 10 steps — loss 0.1",
        "learn <b>: 10 of 10 steps — loss 0.1",
    ]
    assert 'value="1.0000"' in shown[1]["text/html"] and "learn &lt;b&gt;" in shown[0]["text/html"]
    assert "done<br>" in shown[2]["text/html"]


def test_quick_updates_are_not_all_drawn(monkeypatch):
    drawn = []
    progress = NotebookProgress()
    progress._shown = SimpleNamespace(update=lambda data, raw: drawn.append(data))
    progress.step("read")
    for done in range(1, 1000):
        progress.update(done, 1000)
    assert len(drawn) < 50
