"""How it is found out what holds; what code inside can do is tried in `tests/evals/scorers/test_code_process.py`."""

import subprocess

import pytest

from freehold.bounded import sandbox

pytestmark = pytest.mark.process


@pytest.fixture
def asked_anew():
    sandbox.sandbox_state.cache_clear()
    yield
    sandbox.sandbox_state.cache_clear()


def bwrap(folder, monkeypatch, script):
    program = folder / "bwrap"
    program.write_text(f"#!/bin/sh\n[ \"$1\" = --version ] && echo 'bubblewrap 0.6.1' && exit 0\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return program


def test_without_bubblewrap_there_are_limits_only(tmp_path, monkeypatch, asked_anew):
    monkeypatch.setenv("PATH", str(tmp_path))
    state = sandbox.sandbox_state()
    assert (state.kind, state.name) == ("limits", sandbox.LIMITS_ONLY)
    assert "not installed" in state.why
    assert "bubblewrap" in state.fix


@pytest.mark.parametrize(
    ("says", "fix"),
    [("Unknown option --size", "0.8 or newer"), ("setting up uid map: Permission denied", "user namespaces")],
)
def test_one_that_may_not_run_is_tried_and_not_believed(tmp_path, monkeypatch, asked_anew, says, fix):
    bwrap(tmp_path, monkeypatch, f"echo 'bwrap: {says}' >&2; exit 1")
    state = sandbox.sandbox_state()
    assert (state.kind, state.version) == ("limits", "0.6.1")
    assert says in state.why
    assert fix in state.fix


def test_one_that_cannot_close_namespaces_is_taken_without(tmp_path, monkeypatch, asked_anew):
    program = bwrap(tmp_path, monkeypatch, '[ "$1" = --disable-userns ] && exit 1; exit 0')
    state = sandbox.sandbox_state()
    assert (state.kind, state.flags) == ("bubblewrap", (str(program),))


def test_the_environment_is_named():
    given = {"PATH": "/usr/bin", "OPENAI_API_KEY": "canary", "AWS_PROFILE": "canary", "LANG": "C"}
    made = sandbox.environment(given, "/tmp")
    assert (made["PATH"], made["LANG"], made["HOME"]) == ("/usr/bin", "C", "/tmp")
    assert "canary" not in made.values()


def test_a_program_runs_where_it_was_started(tmp_path):
    state = sandbox.sandbox_state()
    if state.kind != "bubblewrap":
        pytest.skip(f"no bubblewrap: {state.why}")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "file").write_text("seen")
    (tmp_path / "other").write_text("not seen")
    command = ["sh", "-c", "pwd; cat link; ls"]
    enclosed = sandbox.enclosed(command, flags=state.flags, cwd=tmp_path, visible=[tmp_path / "link"])
    told = subprocess.run(enclosed, capture_output=True, text=True, check=True, timeout=30).stdout
    assert told == f"{tmp_path}\nseenlink\n"
