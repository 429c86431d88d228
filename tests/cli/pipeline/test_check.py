"""check.sh with the real `freehold`: exit codes, what it writes, and inputs that are not what they should be."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import freehold.cli

pytestmark = pytest.mark.process

SCRIPT = Path(freehold.cli.__path__[0]) / "pipeline" / "check.sh"
SOURCE = str(Path(freehold.cli.__path__[0]).parents[1])
MARK = "<!-- freehold-check: freehold -->"


def program(folder):
    """A `freehold` that is the one under test."""
    made = folder / "bin" / "freehold"
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_text(
        f'#!/bin/sh\nPYTHONPATH={shlex.quote(SOURCE)} exec {shlex.quote(sys.executable)} -m freehold "$@"\n'
    )
    made.chmod(0o755)
    return made


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "their code"
    folder.mkdir()
    (folder / ".git").mkdir()
    return folder


@pytest.fixture
def check(repository, tmp_path):
    def run(*, program_path=None, **inputs):
        own = {f"CHECK_{name.upper()}": value for name, value in inputs.items()}
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "FREEHOLD_HOME": str(tmp_path / "home"),
            "TMPDIR": str(tmp_path),
            "CHECK_PROGRAM": str(program_path or program(tmp_path)),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
            **own,
        }
        (tmp_path / "output").write_text("")
        ran = subprocess.run(
            ["bash", str(SCRIPT)], env=environment, capture_output=True, text=True, cwd=repository
        )
        assert not list(tmp_path.glob("freehold-check.??????"))
        return ran

    return run


def outputs(tmp_path):
    return dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())


def pairs(folder, name, *, both=0, losses=0):
    rows = [{"id": f"q{i}", "a": 1, "b": int(i >= losses)} for i in range(both + losses)]
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def answers(folder, *, n, wrong):
    for name, bad in (("a.jsonl", 0), ("b.jsonl", wrong)):
        rows = [{"id": f"q{i}", "output": "no" if i < bad else "yes", "gold": "yes"} for i in range(n)]
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    ("both", "losses", "hold", "code", "verdict"),
    [
        (400, 0, "fail", 0, "promote"),
        (200, 200, "fail", 1, "reject"),
        (20, 0, "fail", 3, "hold"),
        (20, 0, "pass", 0, "hold"),
    ],
)
def test_a_verdict_is_the_exit_code(both, losses, hold, code, verdict, check, repository, tmp_path):
    ran = check(pairs=pairs(repository, "p.jsonl", both=both, losses=losses), margin="0.02", hold=hold)
    assert ran.returncode == code, ran.stdout + ran.stderr
    assert outputs(tmp_path) == {"exit-code": str(code), "verdict": verdict, "report": "freehold-check.md"}
    report = (repository / "freehold-check.md").read_text()
    assert report.splitlines()[0] == MARK
    assert verdict.capitalize() in report.splitlines()[1]
    assert (tmp_path / "summary").read_text() == report


def test_all_three_in_one_report_and_the_worst_answer_counts(check, repository, tmp_path):
    answers(repository, n=400, wrong=0)
    (repository / "app.py").write_text('ask(model="gpt-4-0613")\n')
    ran = check(
        a="a.jsonl", b="b.jsonl", task="exact", margin="0.02",
        pairs=pairs(repository, "p.jsonl", both=20), scan="app.py\n\n",
    )  # fmt: skip
    assert ran.returncode == 1, ran.stdout + ran.stderr  # the scan's; 3 of the pairs weighs less
    report = (repository / "freehold-check.md").read_text()
    assert re.findall(r"^### (.) (\w+)", report, re.MULTILINE) == [
        ("✕", "Scan"),
        ("✓", "Promote"),
        ("?", "Hold"),
    ]
    assert outputs(tmp_path)["verdict"] == "hold"


def test_what_could_not_be_done_is_never_a_pass(check, repository, tmp_path):
    answers(repository, n=400, wrong=0)
    (repository / "p.jsonl").write_text("not JSON\n")
    ran = check(a="a.jsonl", b="b.jsonl", task="exact", margin="0.02", pairs="p.jsonl", hold="pass")
    assert ran.returncode == 2
    assert outputs(tmp_path)["verdict"] == "error"
    assert "### ✕ freehold compare could not be done" in (repository / "freehold-check.md").read_text()


@pytest.mark.parametrize("code", [0, 1])
def test_a_program_that_writes_no_result_has_checked_nothing(code, check, repository, tmp_path):
    broken = tmp_path / "broken"
    broken.write_text(f"#!/bin/sh\nexit {code}\n")
    broken.chmod(0o755)
    ran = check(program_path=broken, pairs="p.jsonl", margin="0.02")
    assert ran.returncode == 2


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "nothing to check"),
        ({"a": "a.jsonl"}, "a is given without b"),
        ({"a": "a", "b": "b", "endpoint": "http://x"}, "expected one of them"),
        ({"pairs": "p.jsonl"}, "pairs is given without margin"),
        ({"pairs": "p", "margin": "0.02; touch ran"}, "margin: expected"),
        ({"scan": ".", "fail_within": "$(touch ran)"}, "fail-within: expected"),
        ({"scan": ".", "name": "x -->\n@all"}, "name: expected"),
        ({"scan": ".", "api_key_env": "sk-123"}, "api-key-env: expected"),
        ({"pairs": "p\nq", "margin": "0.02"}, "pairs: expected one line"),
    ],
)
def test_inputs_that_are_not_what_they_should_be_are_refused(inputs, said, check, repository, tmp_path):
    ran = check(**inputs)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert outputs(tmp_path) == {"exit-code": "2", "verdict": "error"}
    assert list(repository.iterdir()) == [repository / ".git"]


def test_no_input_is_read_as_an_option_or_as_shell(check, repository):
    ran = check(scan="--help\n$(touch ran)\n; touch ran", pairs="--help", margin="0.02", name="a")
    assert ran.returncode == 2
    assert "Usage:" not in ran.stdout
    assert not (repository / "ran").exists()


def test_what_is_printed_cannot_command_the_runner(repository, tmp_path):
    loud = tmp_path / "loud"
    loud.write_text("#!/bin/sh\necho '::error::from a file name'\nexit 2\n")
    loud.chmod(0o755)
    ran = subprocess.run(
        ["bash", str(SCRIPT)],
        env={
            "PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "CHECK_PROGRAM": str(loud),
            "CHECK_SCAN": ".", "GITHUB_ACTIONS": "true",
        },
        capture_output=True, text=True, cwd=repository,
    )  # fmt: skip
    (word,) = re.findall(r"^::stop-commands::([0-9a-f]{32})$", ran.stdout, re.MULTILINE)
    before, after = ran.stdout.index(f"::stop-commands::{word}"), ran.stdout.index(f"\n::{word}::")
    assert before < ran.stdout.index("::error::") < after


def test_a_link_that_the_repository_brings_is_not_written_through(check, repository, tmp_path):
    target = tmp_path / "profile"
    target.write_text("mine\n")
    (repository / "freehold-check.md").symlink_to(target)
    check(pairs=pairs(repository, "p.jsonl", both=20), margin="0.02")
    assert target.read_text() == "mine\n"
    assert not (repository / "freehold-check.md").is_symlink()


def test_a_report_that_the_repository_brings_is_not_taken_for_this_checks(check, repository):
    (repository / "freehold-check.md").write_text(f"{MARK}\n### ✓ Promote\n")
    ran = check(pairs="p.jsonl")
    assert ran.returncode == 2 and "pairs is given without margin" in ran.stderr
    assert not (repository / "freehold-check.md").exists()
