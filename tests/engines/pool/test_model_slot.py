"""What the pool knows of one model, in each of its states."""

import asyncio
from types import SimpleNamespace

import pytest
from tests.engines.pool.echo_pool import GIB, hosted

from freehold.engines.engine import EngineHealth
from freehold.engines.pool.model_slot import ModelSlot
from freehold.errors import EngineError

pytestmark = pytest.mark.anyio


def slot(state=None, **health):
    made = ModelSlot(hosted("a"))
    if state is not None:
        running = SimpleNamespace(health=lambda: EngineHealth(state=state, **health))
        made.session = SimpleNamespace(running=running)
    return made


@pytest.mark.parametrize(
    ("engine", "state"),
    [
        (None, "unloaded"),
        ("ready", "ready"),
        ("starting", "ready"),
        ("restarting", "restarting"),
        ("stopped", "restarting"),
        ("failed", "failed"),
    ],
)
def test_its_state_follows_the_engine(engine, state):
    assert slot(engine).state() == state


def test_trouble_and_leaving_are_states_too():
    one = slot()
    one.trouble = "out of memory"
    assert one.state() == "failed"
    one = slot("ready")
    one.leaving = True
    assert one.state() == "leaving"


async def test_a_load_is_a_state_and_its_error_is_not_left_unread():
    async def failing():
        raise EngineError("no weights")

    one = slot()
    one.loading = asyncio.create_task(failing())
    assert one.state() == "loading"
    task = one.loading
    await asyncio.gather(task, return_exceptions=True)
    one.load_ended(task)
    assert one.loading is None


def test_a_status_has_what_is_shown():
    one = slot("ready", restarts=2, process_id=77, last_crash="signal 9")
    one.busy, one.last_used, one.trouble = 3, 10.0, "older"
    status = one.status(now=15.0)
    assert (status.model, status.state, status.bytes, status.busy) == ("a", "ready", GIB, 3)
    assert (status.restarts, status.process_id, status.idle_seconds, status.trouble) == (
        2,
        77,
        5.0,
        "signal 9",
    )
    unused = slot().status(now=15.0)
    assert (unused.idle_seconds, unused.process_id, unused.restarts, unused.trouble) == (None, None, 0, None)
