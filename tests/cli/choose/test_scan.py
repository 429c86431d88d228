"""The pre-commit hook and the CI action, by running their commands."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.process


ROOT = Path(__file__).resolve().parents[3]
GONE = 'client.chat(model="gpt-4-0613")\n'


@pytest.fixture
def venv(tmp_path):
    """A folder as `python -m venv` makes it, whose `freehold` is the one under test."""
    program = tmp_path / "venv" / "bin" / "freehold"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m freehold "$@"\n')
    program.chmod(0o755)
    (program.parent / "python").symlink_to(sys.executable)
    return program.parents[1]


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "their code"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "app.py").write_text("pass\n")
    (folder / "src" / "main.go").write_text("package main\n")
    (folder / "README.md").write_text("We used gpt-4-0613.\n")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


def environment(venv, **more):
    return {**os.environ, "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "", **more}


def hook(repository, venv, *arguments):
    """What pre-commit runs: the entry, the arguments, and the names of the commit's files."""
    (one,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert (one["id"], one["language"], one["types"]) == ("freehold-scan", "python", ["text"])
    return subprocess.run(
        [*shlex.split(one["entry"]), *arguments, "src/app.py", "src/main.go", "README.md"],
        cwd=repository,
        env=environment(venv),
        capture_output=True,
        text=True,
    )


def test_the_hook_passes_a_clean_commit_and_fails_on_a_model_that_is_gone(repository, venv):
    assert hook(repository, venv).returncode == 0
    (repository / "src" / "main.go").write_text('package main\n\nvar model = "gpt-4-0613"\n')
    ran = hook(repository, venv, "--fail-within", "0")
    assert ran.returncode == 1
    assert "error    gpt-4-0613: shut down on 2026-10-23" in ran.stdout
    assert "src/main.go:3:13" in ran.stdout


STEPS = {step["name"]: step for step in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]}


def step(name, venv, repository, **inputs):
    """What a runner does: inputs into the environment, the script into bash as composite actions start it."""
    defaults = {
        key: one["default"]
        for key, one in yaml.safe_load((ROOT / "action.yml").read_text())["inputs"].items()
    }
    known = {f"inputs.{key}": value for key, value in {**defaults, **inputs}.items()}
    known |= {"github.action_path": str(ROOT), "runner.temp": str(venv.parent)}
    made = {
        key: re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda match: known[match.group(1)], value)
        for key, value in STEPS[name]["env"].items()
    }
    made["VENV"] = str(venv)
    assert STEPS[name]["shell"] == "bash"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[name]["run"]],
        cwd=repository,
        env=environment(venv, **made),
        capture_output=True,
        text=True,
    )


def test_the_action_scans_once_for_both_pages_and_people(repository, venv):
    program = venv / "bin" / "freehold"
    program.write_text(program.read_text().replace("exec ", "echo x >> ran\nexec "))
    (repository / "src" / "app.py").write_text(GONE)
    ran = step("Scan", venv, repository, sarif="found.sarif")
    assert (ran.returncode, (repository / "ran").read_text()) == (1, "x\n")
    assert "src/app.py:1: " in ran.stdout
    assert json.loads((repository / "found.sarif").read_text())["runs"][0]["results"]


def test_no_input_of_the_action_is_read_as_shell(repository, venv):
    ran = step("Scan", venv, repository, path="$(touch ran)", **{"fail-within": "1; touch ran"})
    assert ran.returncode == 2
    assert not (repository / "ran").exists()
    for one in STEPS.values():
        assert "${{" not in one.get("run", "")


def test_the_name_of_a_file_is_not_a_command_of_the_runner(repository, venv, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    name = "::error title=owned::by a pull request.py"
    (repository / "src" / name).write_text(GONE)
    (repository / name).write_text(GONE)
    ran = step("Scan", venv, repository)
    lines = ran.stdout.splitlines()
    assert ran.returncode == 1 and any(line.lstrip().startswith(name) for line in lines)
    (word,) = re.findall(r"^::stop-commands::([0-9a-f]{32})$", ran.stdout, re.MULTILINE)
    assert lines[0] == f"::stop-commands::{word}" and lines[-1] == f"::{word}::"


@pytest.fixture
def code(tmp_path):
    (tmp_path / "app.py").write_text('client.chat(model="gpt-4o-2024-08-06")\n')


def test_a_use_has_its_place_and_date(freehold, code):
    ran = freehold("scan", ".", "--as-of", "2026-01-01", "--json")
    assert ran.code == 0
    (finding,) = ran.json["findings"]
    assert (finding["path"], finding["line"], finding["model"]) == ("app.py", 1, "gpt-4o-2024-08-06")
    (model,) = ran.json["models"]
    assert (model["model"], model["places"]) == ("gpt-4o-2024-08-06", ["app.py:1:19"])
    shown = freehold("scan", "--as-of", "2026-01-01", "--why")
    assert shown.out.startswith("warning  gpt-4o-2024-08-06: shut down on 2027-01-14")
    assert "\napp.py:1:19 warning gpt-4o-2024-08-06" in shown.out
    assert shown.err.endswith("1 file read, 1 finding\n")


def test_what_was_not_looked_into_is_named(freehold, tmp_path, code):
    (tmp_path / "view.swift").write_text('let m = "gpt-4"')
    ran = freehold("scan", ".", "--as-of", "2026-01-01")
    assert "not looked into: 1 file, no reader for .swift (view.swift)" in ran.err
    assert ran.err.endswith("1 file read, 1 finding, 1 not looked into\n")
