"""Who may read the project's files, and what ended processes left."""

import os
import shutil
import subprocess
import sys
import time

import msgspec
import pytest

from freehold.processes import described
from freehold.store import open_store
from freehold.workflows.doctor import leftovers as checks
from freehold.workflows.doctor.examine import site_of
from freehold.workflows.project import now, open_project
from freehold.workflows.project_store import one_at_a_time


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    (tmp_path / "freehold.toml").write_text('[app]\nname = "x"\n')
    (tmp_path / "freehold.toml").chmod(0o644)
    open_project().state.chmod(0o755)
    return site_of(None, now=now())


def files(site):
    return list(checks.check_files(site))


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
    return [one for one in checks.check_leftovers(site) if "run folders" not in one.text]


@pytest.mark.process
def test_endpoints_that_run_ended_or_belong_to_the_original(site, tmp_path):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        logs = site.state / "engines"
        logs.mkdir()
        named = {**described(process.pid, logs), "url": "http://127.0.0.1:8420", "log": ""}
        (logs / "serving-8420.json").write_bytes(msgspec.json.encode(named))
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
    day_ago = time.time() - 2 * checks.OLD_SECONDS
    os.utime(partial, (day_ago, day_ago))
    run = site.state / "adapters" / "x-1" / "run"
    run.mkdir(parents=True)
    (run / "checkpoint.safetensors").touch()
    assert [one.outcome for one in left(site)] == ["warn", "warn"]
    (run.parent / "adapter.json").touch()
    assert len(left(site)) == 1
