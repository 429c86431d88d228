"""The table of engines and a session of one; tests/engines/contract runs over what each does."""

from typing import get_args

import anyio
import pytest

from freehold.engines import ENGINES, check, load, start
from freehold.errors import UsageError
from freehold.settings import load as load_settings
from freehold.types.endpoint import ServePlan
from freehold.types.engine import ENGINE_KINDS, EngineName

PLAN = ServePlan(engine="echo", model="echo", options={"in_process": True})
WRONG = ServePlan(engine="echo", model="echo", options={"anwers": {}})


def test_every_kind_has_its_engine():
    assert set(ENGINES) == set(ENGINE_KINDS) == set(get_args(EngineName))


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_is_loaded_by_its_name(name):
    assert load(name).kind is ENGINE_KINDS[name]


def test_an_unknown_name_lists_the_engines():
    with pytest.raises(UsageError, match="no engine is called 'llama'") as caught:
        load("llama")
    assert all(name in caught.value.hint for name in ENGINES)


def test_a_plan_is_checked_by_its_engine(tmp_path):
    check(PLAN)
    for settings in (None, load_settings({})):
        with pytest.raises(UsageError, match="unknown option anwers"):
            check(WRONG, settings)


def test_a_session_runs_from_start_to_stop(tmp_path):
    async def run():
        session = start(PLAN, log_dir=tmp_path, name="x")
        await session.stop()  # not started: nothing to stop
        async with session as endpoint:
            assert session.running.endpoint == endpoint
            return session.running.health().state, session.running

    state, running = anyio.run(run)
    assert (state, running.health().state) == ("ready", "stopped")


def test_a_session_starts_nothing_for_a_plan_that_cannot_hold(tmp_path):
    session = start(WRONG, log_dir=tmp_path, name="x")
    with pytest.raises(UsageError, match="unknown option"):
        anyio.run(session.start)
    with pytest.raises(AssertionError, match="start it first"):
        _ = session.running
