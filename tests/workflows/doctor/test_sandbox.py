from datetime import UTC, datetime

import pytest

from freehold.bounded.sandbox import SandboxState, sandbox_state
from freehold.settings import load
from freehold.types.config import parse
from freehold.workflows.doctor.machine import SandboxFacts, judge_sandbox, look_at_sandbox
from freehold.workflows.doctor.site import Site

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
