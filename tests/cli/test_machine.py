"""The commands about this machine, as a person and as a monitor meet them."""

import os
import subprocess
import sys

import pytest


@pytest.fixture
def healthy(freehold, tmp_path, monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    (tmp_path / "freehold.toml").write_text('[app]\nname = "x"\n[serve]\nport = 18437\n')
    (tmp_path / "freehold.toml").chmod(0o600)


def test_each_finding_has_a_line_and_each_problem_a_way_out(freehold, healthy, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOST", "0.0.0.0")
    ran = freehold("doctor")
    assert ran.code == 2 and ran.err == ""
    lines = ran.out.splitlines()
    assert lines[0] == "This machine" and {"This project", "What it keeps"} <= set(lines)
    place = next(n for n, line in enumerate(lines) if line.startswith("  fail  keys "))
    assert "without keys" in lines[place] and "→ freehold keys add NAME" in lines[place + 1]
    assert lines[-1].endswith("1 fail")


def test_it_works_on_broken_things(freehold, healthy, tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text("[app\n")
    state = tmp_path / ".freehold"
    state.mkdir(mode=0o700)
    (state / "freehold.sqlite").write_text("no database at all, " * 500)
    monkeypatch.setenv("FREEHOLD_NO_SUCH", "1")
    ran = freehold("doctor")
    assert ran.code == 2 and "Traceback" not in ran.out + ran.err
    assert "not valid TOML" in ran.out and "FREEHOLD_NO_SUCH" in ran.out and "is damaged" in ran.out


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("FREEHOLD_PROT", "1", "unknown setting FREEHOLD_PROT in the environment"),
        ("FREEHOLD_PORT", "ninety", "FREEHOLD_PORT is 'ninety', expected a whole number"),
    ],
)
def test_mistakes(refused, monkeypatch, variable, value, message):
    monkeypatch.setenv(variable, value)
    refused("settings", message=message)


def test_the_databases_password_is_not_shown(freehold, monkeypatch):
    monkeypatch.setenv("FREEHOLD_DATABASE_URL", "postgresql://me:s3cret@host/db")
    for asked in (("settings",), ("settings", "--json")):
        told = freehold(*asked).out
        assert "s3cret" not in told and "postgresql://me:***@host/db" in told


def test_the_keys_of_the_file_are_explained(freehold):
    shown = freehold("settings", "--keys", "task").out
    assert shown.startswith("[task]\n") and "margin = 0.02" in shown and "Largest drop you accept" in shown
    assert "[serve]" in freehold("settings", "--keys").out
    assert {one["table"] for one in freehold("settings", "--keys", "data", "--json").items} == {"data"}
    assert "it has app, incumbent" in " ".join(freehold("settings", "--keys", "tsak").err.split())
    assert "goes with --keys" in freehold("settings", "task").err


@pytest.mark.process
@pytest.mark.parametrize(
    ("typed", "found"),
    [("freehold rol", "rollout"), ("freehold fit --cont", "--context")],
)
def test_what_the_script_asks_is_answered(typed, found):
    """As bash asks: words and place in the environment."""
    words = {
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
        "_FREEHOLD_COMPLETE": "bash_complete",
    }
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.argv[0] = 'freehold'; from freehold.cli.main import main; main()",
        ],
        env={**os.environ, **words},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"plain,{found}" in ran.stdout.splitlines(), ran.stderr
