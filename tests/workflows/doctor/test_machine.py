"""The machine's checks: what is told of scarce memory, full disks, an ended Python, engines with a published fault."""

from datetime import UTC, date, datetime

import pytest

from freehold.bounded.sandbox import SandboxState, sandbox_state
from freehold.catalog import freshness
from freehold.settings import load
from freehold.types.config_file import parse
from freehold.types.machine import Machine
from freehold.workflows.doctor import machine as checks
from freehold.workflows.doctor.machine import SandboxFacts, judge_sandbox, look_at_sandbox
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
    facts = checks.MachineFacts(machine=here, nvidia_driver=False)
    assert outcomes(checks.judge_machine(facts)) == [outcome]


def test_a_driver_without_a_card_is_told():
    here = Machine(name="box", cores=2, memory_bytes=GIB, available_memory_bytes=GIB, cpu="x", isa=())
    found = list(checks.judge_machine(checks.MachineFacts(machine=here, nvidia_driver=True)))
    assert outcomes(found) == ["ok", "warn"] and "freehold[nvidia]" in found[1].fix


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


@pytest.mark.process
@pytest.mark.parametrize(("scorer", "own"), [("code", True), ("label", False)])
def test_what_is_there_is_looked_at(tmp_path, scorer, own):
    config = parse(f'[app]\nname = "a"\n[task]\nscorer = "{scorer}"\n', path="freehold.toml")
    site = Site(tmp_path, None, config, load({}), datetime(2026, 11, 26, tzinfo=UTC))
    assert look_at_sandbox(site) == SandboxFacts(state=sandbox_state(), runs_own_code=own)
