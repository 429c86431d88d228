"""The machine's checks: what is told of scarce memory, full disks, an ended Python, engines with a published fault."""

import os
import shutil
import subprocess
import sys
import time
from datetime import date

import msgspec
import pytest

from freehold.bounded.sandbox import SandboxState
from freehold.catalog import freshness
from freehold.processes import described
from freehold.store import open_store
from freehold.workflows.doctor import leftovers as checks_of_leftovers
from freehold.workflows.doctor import machine as checks
from freehold.workflows.doctor.examine import site_of
from freehold.workflows.doctor.machine import SandboxFacts, judge_sandbox
from freehold.workflows.project import now, open_project
from freehold.workflows.project_store import one_at_a_time

GIB = 1 << 30


def outcomes(findings):
    return [finding.outcome for finding in findings]


def test_disks_are_told_once_where_they_are_one_and_each_where_not():
    same = checks.DiskFacts(free={"state": (9 * GIB, 10 * GIB), "weights": (9 * GIB, 10 * GIB)})
    assert [f.text for f in checks.judge_disk(same)] == ["9.00 GiB of 10.0 GiB free for state and weights"]
    two = checks.DiskFacts(free={"state": (GIB // 4, 10 * GIB), "weights": (2 * GIB, 10 * GIB)})
    assert outcomes(checks.judge_disk(two)) == ["fail", "warn"]


def test_a_python_without_fixes():
    facts = checks.PythonFacts(freehold="1", python=(3, 11, 7), today=date(2027, 10, 31))
    assert outcomes(checks.judge_python(facts)) == ["ok"]
    late = checks.PythonFacts(freehold="1", python=(3, 11, 7), today=date(2027, 11, 1))
    assert outcomes(checks.judge_python(late)) == ["warn"]


def engine(name, version, where=""):
    one = checks.EngineVersion(name=name, version=version, where=where)
    return next(iter(checks.judge_engines(checks.EngineFacts(engines=(one,)))))


def test_an_engine_older_than_its_last_advisory():
    for row in freshness.advisories():
        assert engine(row.engine, row.fixed).outcome == "ok"
        old = engine(row.engine, "0.0.1")
        assert old.outcome == "fail" and row.id in old.text and ("upgrade" in old.fix or "newer" in old.fix)
    assert "install llamacpp" in engine("llamacpp", "2026.4.1", "built here").fix
    assert engine("ollama", None).outcome == "ok"
    assert outcomes(checks.judge_engines(checks.EngineFacts(engines=()))) == ["warn"]


def test_what_is_here_is_seen(tmp_path, monkeypatch):
    from freehold.workflows.doctor.examine import site_of
    from freehold.workflows.project import now

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")  # discard: nothing answers
    site = site_of(None, now=now())
    assert checks.look_at_machine(site).machine.cores >= 1
    assert set(checks.look_at_disk(site).free) == {"the project's state", "weights"}
    assert checks.look_at_python(site).python >= (3, 11, 0)
    assert {one.name for one in checks.look_at_engines(site).engines} <= {"llamacpp"}


HELD = SandboxState(kind="bubblewrap", version="0.11.0", flags=("bwrap",))
OPEN = SandboxState(kind="limits", why="bubblewrap is not installed", fix="apt-get install bubblewrap")


@pytest.mark.parametrize(
    ("state", "own", "outcome", "said"),
    [
        (HELD, True, "ok", "bubblewrap 0.11.0 runs"),
        (OPEN, False, "ok", "apt-get install bubblewrap"),
        (OPEN, True, "warn", "network and files not closed"),
    ],
)
def test_it_is_told_where_it_matters(state, own, outcome, said):
    (found,) = judge_sandbox(SandboxFacts(state=state, runs_own_code=own))
    assert found.outcome == outcome
    assert said in found.text
    assert (found.fix == "apt-get install bubblewrap") is (outcome == "warn")


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    (tmp_path / "freehold.toml").write_text('[app]\nname = "x"\n')
    (tmp_path / "freehold.toml").chmod(0o644)
    open_project().state.chmod(0o755)
    return site_of(None, now=now())


def files(site):
    return list(checks_of_leftovers.judge_files(checks_of_leftovers.look_at_files(site)))


def test_files_that_others_can_get_at(site):
    file = site.state / "datasets" / "train.jsonl"
    file.parent.mkdir(mode=0o755)
    file.parent.chmod(0o755)
    file.write_text("words")
    file.chmod(0o600)
    assert [one.outcome for one in files(site)] == ["ok"]
    file.chmod(0o644)
    (one,) = files(site)
    assert one.outcome == "warn" and str(file) in one.text and one.fix == f"chmod -R go-rwx {site.state}"
    file.parent.chmod(0o700)
    assert [one.outcome for one in files(site)] == ["ok"], "no other user reaches it"


def test_a_configuration_that_others_may_change(site):
    site.config_path.chmod(0o666)
    (one,) = files(site)
    assert one.outcome == "fail" and "chmod go-w" in one.fix


def test_a_private_key_that_others_may_read(site, tmp_path):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "x"\n[serve]\ntls_cert = "c"\ntls_key = "k"\n')
    (tmp_path / "k").write_text("key")
    (tmp_path / "k").chmod(0o640)
    (one,) = files(site_of(None, now=now()))
    assert one.outcome == "fail" and "chmod 600" in one.fix


def left(site):
    return [
        one
        for one in checks_of_leftovers.judge_leftovers(checks_of_leftovers.look_at_leftovers(site))
        if "run folders" not in one.text
    ]


@pytest.mark.process
def test_endpoints_that_run_ended_or_belong_to_the_original(site, tmp_path):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        named = {**described(process.pid, site.state), "url": "http://127.0.0.1:8420", "log": ""}
        (site.state / "up.json").write_bytes(msgspec.json.encode(named))
        assert [(one.check, one.outcome) for one in left(site)] == [("endpoint", "ok")]
        shutil.copytree(tmp_path, tmp_path.parent / f"{tmp_path.name}-copy")
        copy = site_of(tmp_path.parent / f"{tmp_path.name}-copy", now=now())
        (one,) = left(copy)
        assert one.outcome == "warn" and "belongs to the original" in one.text
        process.kill()
    (one,) = left(site)
    assert one.outcome == "warn" and "has ended" in one.text and one.fix.startswith("rm ")


def test_a_migration_that_runs(site):
    with open_store(site.store_url) as store, one_at_a_time(store, "migration"):
        (one,) = left(site)
    assert (one.check, one.outcome) == ("migration", "ok") and str(os.getpid()) in one.text


def test_half_written_files_and_stopped_trainings(site):
    partial = site.state / "model.gguf.partial"
    partial.write_bytes(b"x" * 100)
    assert [one.outcome for one in left(site)] == ["ok"], "it may be being written"
    day_ago = time.time() - 2 * checks_of_leftovers.OLD_SECONDS
    os.utime(partial, (day_ago, day_ago))
    run = site.state / "adapters" / "x-1" / "run"
    run.mkdir(parents=True)
    (run / "checkpoint.safetensors").touch()
    assert [one.outcome for one in left(site)] == ["warn", "warn"]
    (run.parent / "adapter.json").touch()
    assert len(left(site)) == 1
