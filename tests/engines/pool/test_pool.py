"""The pool with echo engines: loading, adapters that come and go, crashes."""

import asyncio

import pytest
from tests.engines.pool.echo_pool import ask, plan_of, pool_of, served

from freehold.engines.pool import Pool
from freehold.errors import EngineError, UsageError
from freehold.types.endpoint import AdapterMount

pytestmark = pytest.mark.anyio


async def test_all_models_are_loaded_at_the_start(tmp_path):
    async with pool_of(tmp_path, plan_of("a"), plan_of("b")) as pool:
        assert [(one.model, one.state, one.busy) for one in pool.status()] == [
            ("a", "ready", 0),
            ("b", "ready", 0),
        ]
        async with pool.use("b") as endpoint:
            assert endpoint.served("b")
            assert [one.busy for one in pool.status()] == [0, 1]
        with pytest.raises(UsageError, match="no model is called 'c'"):
            async with pool.use("c"):
                pass


async def test_a_model_that_is_being_loaded_says_so(tmp_path):
    pool = Pool([plan_of("a")], ["a"], log_dir=tmp_path)
    assert [one.state for one in pool.status()] == ["loading"] and pool.health("a") is None
    with pytest.raises(EngineError, match="a is being loaded"):
        async with pool.use("a"):
            pass


def test_names_are_given_once(tmp_path):
    with pytest.raises(UsageError, match="one name"):
        Pool([plan_of("x"), plan_of("x")], ["x", "y"], log_dir=tmp_path)


async def test_out_of_memory_at_load_corrects_what_was_assumed(tmp_path, monkeypatch):
    learned = []

    class Dying:
        def __init__(self, *_, **__):
            pass

        async def start(self):
            raise EngineError("engine a did not start: out of memory: failed to allocate buffer")

    monkeypatch.setattr("freehold.engines.pool.pool.start_engine", Dying)
    with pytest.raises(EngineError, match="out of memory"):
        async with pool_of(
            tmp_path, plan_of("a"), on_memory=lambda plan, size, why: learned.append((plan.model, size, why))
        ):
            pass
    assert learned[0][0] == "a" and "out of memory" in learned[0][2]


async def test_adapters_come_and_go_without_a_failed_request(tmp_path):
    answers = tmp_path / "tuned.json"
    answers.write_text('{"ping": "tuned pong"}')
    changes = []
    plan = plan_of("a", token_delay_ms=5, default="one two three four five six")
    async with (
        pool_of(tmp_path, plan, on_change=lambda: changes.append(1)) as pool,
        served(pool) as (front, http),
    ):
        done = asyncio.Event()
        outcomes = []

        async def load():
            while not done.is_set():
                outcomes.append(await ask(http, front, "a"))

        workers = [asyncio.create_task(load()) for _ in range(4)]
        assert (await ask(http, front, "a:t"))[0] == 404
        await pool.add_adapter("a", AdapterMount(name="a:t", path=str(answers)))
        status, text = await ask(http, front, "a:t", "ping")
        assert (status, text) == (200, "tuned pong")
        with pytest.raises(UsageError, match="served already"):
            await pool.add_adapter("a", AdapterMount(name="a:t", path=str(answers)))
        await pool.remove_adapter("a:t")
        assert (await ask(http, front, "a:t"))[0] == 404
        with pytest.raises(UsageError, match="no adapter is served as 'a'"):
            await pool.remove_adapter("a")
        await asyncio.sleep(0.2)
        done.set()
        await asyncio.gather(*workers)
        assert {status for status, _ in outcomes} == {200} and len(outcomes) > 4
        assert len(changes) == 2


class Swapping:
    """A running engine whose adapters can be changed while it runs, around one that runs."""

    has_room = True

    def __init__(self, running, calls):
        self._running = running
        self._calls = calls

    def __getattr__(self, name):
        return getattr(self._running, name)

    async def add_adapter(self, mount):
        if mount.name.endswith("bad"):
            raise EngineError("another base")
        self._calls.append(("add", mount.name))

    async def remove_adapter(self, name):
        self._calls.append(("remove", name))


async def test_an_engine_that_can_change_its_adapters_is_asked_to_and_stays(tmp_path, monkeypatch):
    answers = tmp_path / "tuned.json"
    answers.write_text("{}")
    calls = []
    async with pool_of(tmp_path, plan_of("a")) as pool:
        slot = pool._slots["a"]
        session = slot.session
        session._running = swapping = Swapping(session._running, calls)
        await pool.add_adapter("a", AdapterMount(name="a:t", path=str(answers)))
        with pytest.raises(EngineError, match="another base"):
            await pool.add_adapter("a", AdapterMount(name="a:bad", path=str(answers)))
        assert (pool.model_of("a:t"), pool.model_of("a:bad")) == ("a", None)
        await pool.remove_adapter("a:t")
        assert calls == [("add", "a:t"), ("remove", "a:t")]
        assert slot.session is session and pool.model_of("a:t") is None
        swapping.has_room = False
        await pool.add_adapter("a", AdapterMount(name="a:more", path=str(answers)))
        assert slot.session is not session, "without room a second engine takes its place"
        assert pool.model_of("a:more") == "a" and len(calls) == 2


async def test_an_adapter_the_engine_refuses_leaves_all_as_it_was(tmp_path):
    async with pool_of(tmp_path, plan_of("a")) as pool:
        first = pool.endpoint("a")
        with pytest.raises((UsageError, EngineError)):
            await pool.add_adapter("a", AdapterMount(name="a:t", path=str(tmp_path / "gone.json")))
        assert pool.endpoint("a") == first and pool.model_of("a:t") is None
