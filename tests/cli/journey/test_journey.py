"""The journey by command, from a log to what is served."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.mixed_log import as_record, mixed_log
from tests.cli.conftest import pair, write_lines
from tests.workflows.journey.test_migrate import project as rehearsed

from freehold.progress import Silent
from freehold.workflows.project import open_project
from freehold.workflows.serve import background


@pytest.fixture
def log(tmp_path):
    rows = [pair(f"message {number}", "yes" if number % 2 else "no") for number in range(80)]
    write_lines(tmp_path / "traffic.jsonl", rows)


def test_a_project_is_written_from_a_log(freehold, log, tmp_path):
    drafted = freehold("init", "traffic.jsonl", "--dir", "app", "--json").json
    assert (drafted["incumbent"], drafted["scorer"]) == ("gpt-4o", "label")
    assert 'model = "gpt-4o"' in (tmp_path / "app" / "freehold.toml").read_text()


def test_a_project_that_is_there_is_not_written_over(refused, freehold, log):
    freehold("init", "traffic.jsonl")
    refused("init", "traffic.jsonl", message="freehold.toml is there already", hint="move it away")


def test_a_task_of_several_is_a_project_and_so_is_each(freehold, refused, tmp_path):
    log = mixed_log(6, requests=200, tasks=4)
    write_lines(tmp_path / "mixed.jsonl", map(as_record, log))
    (best, *_) = freehold("tasks", "mixed.jsonl", "--json").json["tasks"]
    one = freehold("init", "mixed.jsonl", "--task", best["name"], "--dir", "one", "--json").json
    assert (one["task"], one["requests"]) == (best["name"], best["requests"])
    every = freehold("init", "mixed.jsonl", "--all", "--dir", "tasks")
    assert "written: 4 projects" in every.out
    assert len(list((tmp_path / "tasks").glob("*/freehold.toml"))) == 4
    refused("init", "mixed.jsonl", "--all", "--task", "x", message="--task and --all exclude each other")


def test_a_project_of_another_kind_in_the_folder_is_told_before_anything_runs(refused, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "freehold.toml").write_text("[ap]\n")
    refused("demo", "--dir", "mine", message="unknown key ap", hint="did you mean app?")


def test_the_folder_of_another_example_is_refused_and_left_alone(refused, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "freehold.toml").write_text('[app]\nname = "tickets"\n')
    refused(
        "demo", "--dir", "mine", "--example", "helpdesk",
        message="holds another project (tickets), not the example helpdesk", hint="--dir FOLDER",
    )  # fmt: skip
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["freehold.toml"]


def test_an_empty_folder_says_what_to_do_first(freehold, tmp_path):
    ran = freehold("status")
    assert ran.code == 0 and ran.err == ""
    assert "There is no project here yet." in ran.out and "freehold init LOG" in ran.out
    assert list(tmp_path.iterdir()) == []


def test_a_project_with_traffic_says_the_next_step_in_both_forms(freehold, traffic):
    ran = freehold("status")
    assert ran.code == 0
    assert "80 traces" in ran.out and "freehold dataset build" in ran.out
    told = freehold("status", "--json").json
    assert (told["stage"], told["next"]["command"]) == ("imported", "freehold dataset build")
    assert told["schema"] == "freehold.status/1"
    freehold("dataset", "build")
    assert freehold("status", "--json").json["stage"] == "built"


def test_a_broken_store_is_told_with_a_way_out(freehold, project):
    (project / ".freehold").mkdir()
    (project / ".freehold" / "freehold.sqlite").write_bytes(b"x" * 4096)
    ran = freehold("status")
    assert ran.code == 2 and "cannot be read" in ran.out and "freehold doctor" in ran.out
    assert freehold("status", "--json").json["stage"] == "broken"


def test_the_page_of_the_last_migration_is_written_again(freehold, tmp_path):
    rehearsed(tmp_path, rows=120)
    made = freehold("migrate", "--no-serve", "--json").json["migration"]
    page = Path(made["written"]["html"])
    page.unlink()
    assert freehold("report").out == f"{page}\n"
    assert page.read_text().startswith("<!")
    assert freehold("report", made["report"]["id"], "--json").json["id"] == made["report"]["id"]


@pytest.fixture
def training_file(tmp_path):
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"message {number}"},
                {"role": "assistant", "content": answer},
            ]
        }
        for number, answer in enumerate(["yes", "no"] * 40)
    ]
    (tmp_path / "training.jsonl").write_text("\n".join(map(json.dumps, rows)))


def test_it_is_prepared_from_the_file_alone(freehold, training_file, tmp_path):
    ran = freehold("rescue", "training.jsonl", "--prepare", "--json")
    assert ran.code == 0, ran.err
    assert sum(ran.json["samples"].values()) == 80
    assert ran.json["asking"] is None
    assert (tmp_path / "freehold-rescue" / "freehold.toml").is_file()
    assert "  freezing   nothing: no API was named" in ran.err


@pytest.fixture
def running(freehold, tmp_path):
    """What ``freehold migrate`` would have left running."""
    (tmp_path / "freehold.toml").write_text('[app]\nname = "support"\n[serve]\nengine = "echo"\n')
    yield background.start(open_project(), progress=Silent())
    if background.running(open_project()) is not None:
        background.stop(open_project())


@pytest.mark.process
def test_what_was_stopped_is_told_in_json(freehold, running):
    ran = freehold("down", "--json")
    assert (ran.code, ran.json["url"], ran.json["pid"]) == (0, running.url, running.pid)
    assert background.running(open_project()) is None


@pytest.fixture
def rehearsal_of_migrate(tmp_path):
    """A project whose whole journey takes seconds: on the echo engine, with personal data found by patterns."""
    return functools.partial(rehearsed, tmp_path)


def test_the_exit_code_is_the_verdicts_and_the_page_is_named(freehold, rehearsal_of_migrate):
    rehearsal_of_migrate()
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
def test_a_bad_candidate_ends_with_1_and_an_open_question_with_3(
    freehold, rehearsal_of_migrate, changes, code
):
    rehearsal_of_migrate(**changes)
    assert freehold("migrate", "--no-serve", "--anyway").code == code


def test_what_cannot_end_well_is_not_begun(freehold, rehearsal_of_migrate):
    rehearsal_of_migrate(margin=0.01, rows=60)
    dry = freehold("migrate", "--dry-run")
    assert dry.code == 2
    assert "  ok    scorer         label gives the right answers full marks\n" in dry.out
    assert "  fail  margin         with n = 31 you can prove 11.4 points at best" in dry.out
    assert "→ hold out 384 items at least" in dry.out
    assert dry.out.endswith("it would not begin; nothing was asked, trained or paid for\n")
    assert freehold("migrate", "--dry-run", "--json").json["preflight"]["items"] == 31
    ran = freehold("migrate", "--no-serve", "--json")
    assert ran.code == 2
    assert "error: not begun, nothing was spent: with n = 31" in ran.err
    (found,) = [one for one in ran.json["preflight"]["findings"] if one["outcome"] == "fail"]
    assert found["check"] == "margin" and found["fix"]


def test_a_rehearsal_of_what_can_end_well_ends_with_0(freehold, rehearsal_of_migrate):
    rehearsal_of_migrate()
    ran = freehold("migrate", "--dry-run")
    assert ran.code == 0, ran.out
    assert "ready: freehold migrate" in ran.out and "fail" not in ran.out


@pytest.mark.process
def test_two_at_once_are_one_and_a_refusal_and_a_killed_one_is_taken_over(
    freehold, rehearsal_of_migrate, tmp_path
):
    rehearsal_of_migrate()
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
