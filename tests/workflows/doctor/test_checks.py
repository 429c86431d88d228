"""Each check on a patient that has what it looks for."""

import time
from pathlib import Path

import pytest

from freehold.workflows.doctor import checks
from freehold.workflows.doctor.patient import Patient, StoreState


def patient(**changes):
    values = {
        "settings": None,
        "project": None,
        "problem": None,
        "state": None,
        "store": None,
        "now_s": time.time(),
    }
    return Patient(**{**values, **changes})


@pytest.mark.parametrize(("ahead_s", "level"), [(-5, "ok"), (3600, "fail")])
def test_a_clock_behind_the_newest_trace(ahead_s, level):
    store = StoreState(Path("x"), True, newest_ms=int((time.time() + ahead_s) * 1000))
    assert [one.level for one in checks.clock(patient(store=store))] == [level]


def test_others_may_not_read_the_state(tmp_path):
    tmp_path.chmod(0o755)
    (found,) = checks.permissions(patient(state=tmp_path))
    assert (found.level, found.fix) == ("warn", f"chmod 700 {tmp_path}")
    tmp_path.chmod(0o700)
    assert [one.level for one in checks.permissions(patient(state=tmp_path))] == ["ok"]


def test_old_facts_are_told():
    (found,) = checks.facts(patient(now_s=time.time() + 20 * 365 * 86400))
    assert found.level == "warn" and found.fix


def test_a_check_that_fails_is_a_finding(monkeypatch):
    def broken(_):
        raise RuntimeError("odd")
        yield

    monkeypatch.setattr(checks, "CHECKS", (broken,))
    (found,) = checks.examine(patient())
    assert found.level == "warn" and "RuntimeError: odd" in found.what
