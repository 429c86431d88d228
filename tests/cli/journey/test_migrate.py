import json
import os
import signal
import subprocess
import sys
import time

import pytest
from tests.workflows.journey.test_migrate import project as rehearsed


@pytest.fixture
def rehearsal(tmp_path):
    """A project whose whole journey takes seconds: on the echo engine, with personal data found by patterns."""

    def make(**changes):
        rehearsed(tmp_path, **changes)
        with (tmp_path / "freehold.toml").open("a") as file:
            file.write('[curate]\npersonal_data = "patterns"\n')

    return make


def test_the_exit_code_is_the_verdicts_and_the_page_is_named(freehold, rehearsal):
    rehearsal()
    ran = freehold("migrate", "--no-serve")
    assert ran.code == 0
    assert "\n  verdict     promote\n" in ran.out
    assert "\nreport     " in ran.out and "\nserve it   freehold up --capture patterns\n" in ran.out
    again = freehold("migrate", "--no-serve", "--json")
    assert again.json["migration"]["best"]["verdict"]["outcome"] == "promote"
    assert again.json["endpoint"] is None
    assert "unchanged since the last run" in again.err


@pytest.mark.parametrize(
    ("changes", "code"), [({"lamp": "sofa", "margin": 0.015}, 1), ({"margin": 0.01, "rows": 60}, 3)]
)
def test_a_bad_candidate_ends_with_1_and_an_open_question_with_3(freehold, rehearsal, changes, code):
    rehearsal(**changes)
    assert freehold("migrate", "--no-serve", "--anyway").code == code


def test_what_cannot_end_well_is_not_begun(freehold, rehearsal):
    rehearsal(margin=0.01, rows=60)
    dry = freehold("migrate", "--dry-run")
    assert dry.code == 2
    assert "  ok    scorer         label finds the right answer right\n" in dry.out
    assert "  fail  margin         with n = 31 you can prove 11.4 points at best" in dry.out
    assert "→ hold out 384 items at least" in dry.out
    assert dry.out.endswith("it would not begin; nothing was asked, trained or paid for\n")
    assert freehold("migrate", "--dry-run", "--json").json["preflight"]["items"] == 31
    ran = freehold("migrate", "--no-serve", "--json")
    assert ran.code == 2
    assert "error: not begun, nothing was spent: with n = 31" in ran.err
    (found,) = [one for one in ran.json["preflight"]["findings"] if one["outcome"] == "fail"]
    assert found["check"] == "margin" and found["fix"]


def test_a_rehearsal_of_what_can_end_well_ends_with_0(freehold, rehearsal):
    rehearsal()
    ran = freehold("migrate", "--dry-run")
    assert ran.code == 0, ran.out
    assert "ready: freehold migrate" in ran.out and "fail" not in ran.out


@pytest.mark.process
def test_two_at_once_are_one_and_a_refusal_and_a_killed_one_is_taken_over(freehold, rehearsal, tmp_path):
    rehearsal()
    path = tmp_path / "freehold.toml"
    quick = path.read_text()
    path.write_text(
        quick.replace("in_process = true", "delay_ms = 600_000")
    )  # it asks, and waits, until it is killed
    command = [sys.executable, "-m", "freehold", "migrate", "--no-serve"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as first:
        try:
            for line in first.stderr:
                if line.startswith("· [4]"):
                    break
            began = time.monotonic()
            second = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=100)
            assert second.returncode == 2
            lock = json.loads(second.stdout)["lock"]
            assert lock["holder"]["pid"] == first.pid and lock["where"] == "alive" and not lock["free"]
            assert 0 < lock["age_seconds"] < 600 and time.monotonic() - began < 100
            assert lock["holder"]["command"] == "freehold migrate --no-serve"
            assert f"process {first.pid} on " in second.stderr and f"kill {first.pid}" in second.stderr
        finally:
            os.kill(first.pid, signal.SIGKILL)
    path.write_text(quick)
    third = freehold("migrate", "--no-serve")
    assert third.code == 0
    assert (
        "an earlier migration ended before it was done" in third.err and f"process {first.pid}" in third.err
    )
    assert third.err.count("unchanged since the last run") == 3, (
        "what the killed one finished is not done again"
    )


def test_mistakes(refused, project):
    refused("migrate", "--config", "gone.toml", message="gone.toml: no such file", hint="freehold init")
    refused("migrate", message="there is no traffic to learn from", hint="freehold up")
