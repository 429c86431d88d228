"""The machine's checks: what is told of scarce memory, full disks, engines with a published fault."""

from datetime import UTC, datetime

import pytest

from freehold.bounded.sandbox import SandboxState
from freehold.catalog.freshness import advisories
from freehold.settings import load
from freehold.types.config_file import parse
from freehold.types.machine import Machine
from freehold.workflows.doctor import machine as checks
from freehold.workflows.doctor.site import Site

GIB = 1 << 30


def outcomes(findings):
    return [finding.outcome for finding in findings]


@pytest.mark.parametrize(
    ("available", "outcome"), [(8 * GIB, "ok"), (GIB // 2 + GIB // 3, "warn"), (GIB // 2, "fail")]
)
def test_memory(available, outcome):
    here = Machine(
        name="box", cores=2, memory_bytes=8 * GIB, available_memory_bytes=available, cpu="x", isa=()
    )
    assert outcomes(checks.judge_machine(here, nvidia_driver=False)) == [outcome]


def test_a_driver_without_a_card_is_told_and_each_disk_once():
    here = Machine(name="box", cores=2, memory_bytes=GIB, available_memory_bytes=GIB, cpu="x", isa=())
    found = list(checks.judge_machine(here, nvidia_driver=True))
    assert outcomes(found) == ["ok", "warn"] and "freehold[nvidia]" in found[1].fix
    same = {"state": (9 * GIB, 10 * GIB), "weights": (9 * GIB, 10 * GIB)}
    assert [f.text for f in checks.judge_disk(same)] == ["9.00 GiB of 10.0 GiB free for state and weights"]
    two = {"state": (GIB // 4, 10 * GIB), "weights": (2 * GIB, 10 * GIB)}
    assert outcomes(checks.judge_disk(two)) == ["fail", "warn"]


def engine(name, version, where=""):
    return next(iter(checks.judge_engines([checks.EngineVersion(name, version, where)])))


def test_an_engine_older_than_its_last_advisory():
    for row in advisories():
        assert engine(row.engine, row.fixed).outcome == "ok"
        old = engine(row.engine, "0.0.1")
        assert old.outcome == "fail" and row.id in old.text and ("upgrade" in old.fix or "newer" in old.fix)
    assert "install llamacpp" in engine("llamacpp", "2026.4.1", "built here").fix
    assert engine("ollama", None).outcome == "ok"
    assert outcomes(checks.judge_engines([])) == ["warn"]


def test_what_is_here_is_seen(tmp_path, monkeypatch):
    from freehold.workflows.doctor.examine import site_of
    from freehold.workflows.project import now

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")  # discard: nothing answers
    site = site_of(None, now=now())
    for check in (checks.check_machine, checks.check_disk, checks.check_python):
        assert list(check(site))
    assert {one.name for one in checks.engines_here(site)} <= {"llamacpp"}


HELD = SandboxState(kind="bubblewrap", version="0.11.0", flags=("bwrap",))
OPEN = SandboxState(kind="limits", why="bubblewrap is not installed", fix="apt-get install bubblewrap")


@pytest.mark.parametrize(
    ("state", "scorer", "outcome", "said"),
    [
        (HELD, "code", "ok", "bubblewrap 0.11.0 runs"),
        (OPEN, "label", "ok", "apt-get install bubblewrap"),
        (OPEN, "code", "warn", "network and files not closed"),
    ],
)
def test_it_is_told_where_it_matters(tmp_path, monkeypatch, state, scorer, outcome, said):
    config = parse(f'[app]\nname = "a"\n[task]\nscorer = "{scorer}"\n', path="freehold.toml")
    monkeypatch.setattr(checks, "sandbox_state", lambda: state)
    (found,) = checks.check_sandbox(Site(tmp_path, None, config, load({}), datetime.now(UTC)))
    assert found.outcome == outcome
    assert said in found.text
    assert (found.fix == "apt-get install bubblewrap") is (outcome == "warn")
