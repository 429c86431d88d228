"""The pool with echo engines: loading, queueing, leaving, adapters that come and go, crashes under load."""

import asyncio

import pytest
from tests.engines.pool.echo_pool import GIB, hosted, pool_of, states

from freehold.engines.pool import Pool, PoolBusyError, PoolLimits
from freehold.engines.pool.pool import safe
from freehold.errors import EngineError, UsageError
from freehold.types.endpoint import AdapterMount

pytestmark = pytest.mark.anyio


async def test_models_are_loaded_when_asked_for_and_leave_for_others(tmp_path):
    async with pool_of(tmp_path, hosted("a"), hosted("b"), hosted("c")) as pool:
        assert set(states(pool).values()) == {"unloaded"}
        for name in ("a", "b"):
            async with pool.use(name) as endpoint:
                assert endpoint.served(name)
        async with pool.use("a"):
            pass
        async with pool.use("c"):
            assert states(pool) == {"a": "ready", "b": "unloaded", "c": "ready"}, "b was used longest ago"


async def test_a_busy_model_finishes_first(tmp_path):
    async with pool_of(tmp_path, hosted("a"), hosted("b"), budget_gib=1, stay_seconds=0) as pool:
        order = []
        async with pool.use("a"):
            waiting = asyncio.create_task(_use(pool, "b", order))
            await asyncio.sleep(0.05)
            assert states(pool)["a"] == "leaving" and not order
            late = asyncio.create_task(_use(pool, "a", order))
            await asyncio.sleep(0.05)
            order.append("first a")
        await asyncio.wait_for(asyncio.gather(waiting, late), 5)
        assert order == ["first a", "b", "a"], "who leaves takes nobody new; it comes back afterwards"


async def _use(pool, name, order):
    async with pool.use(name):
        order.append(name)


async def test_many_requests_share_one_load(tmp_path):
    async with pool_of(tmp_path, hosted("a")) as pool:
        order = []
        await asyncio.gather(*(_use(pool, "a", order) for _ in range(20)))
        assert len(order) == 20
        assert len(list(tmp_path.glob("a*.log"))) <= 1


async def test_pinned_models_stay_and_their_sum_is_checked(tmp_path):
    async with pool_of(tmp_path, hosted("p", pinned=True), hosted("a"), hosted("b")) as pool:
        await pool.load("p")
        await pool.load("a")
        await pool.load("b")
        assert states(pool) == {"p": "ready", "a": "unloaded", "b": "ready"}
        with pytest.raises(UsageError, match="p is pinned"):
            await pool.unload("p")
    with pytest.raises(UsageError, match=r"pinned models need 3\.00 GiB, 2\.00 GiB"):
        Pool([hosted("x", gib=3, pinned=True)], PoolLimits(budget_bytes=2 * GIB), log_dir=tmp_path)
    with pytest.raises(UsageError, match="one name"):
        Pool([hosted("x"), hosted("x")], PoolLimits(), log_dir=tmp_path)


async def test_a_model_that_cannot_fit_says_so_at_once(tmp_path):
    async with pool_of(tmp_path, hosted("huge", gib=5)) as pool:
        with pytest.raises(EngineError, match=r"huge needs 5\.00 GiB, 2\.00 GiB are available"):
            await pool.load("huge")


async def test_idle_models_are_let_go(tmp_path):
    now = [0.0]
    async with pool_of(
        tmp_path, hosted("a"), hosted("p", pinned=True), idle_seconds=60, clock=lambda: now[0] + 1
    ) as pool:
        await pool.load("a")
        await pool.load("p")
        now[0] = 59
        await pool.sweep()
        assert states(pool)["a"] == "ready"
        now[0] = 61
        await pool.sweep()
        assert states(pool) == {"a": "unloaded", "p": "ready"}


async def test_a_full_queue_and_a_long_wait_are_refused(tmp_path):
    async with (
        pool_of(
            tmp_path, hosted("a"), hosted("b"), budget_gib=1, queue=1, wait_seconds=0.3, stay_seconds=60
        ) as pool,
        pool.use("a"),
    ):
        first = asyncio.create_task(_use(pool, "b", []))
        await asyncio.sleep(0.05)
        with pytest.raises(PoolBusyError, match="1 requests wait for b"):
            await _use(pool, "b", [])
        with pytest.raises(PoolBusyError, match=r"not loaded within 0\.3 s"):
            await first


async def test_out_of_memory_at_load_corrects_what_was_assumed(tmp_path, monkeypatch):
    learned = []

    class Dying:
        def __init__(self, *_, **__):
            pass

        async def start(self):
            raise EngineError("engine a did not start: out of memory: failed to allocate buffer")

    monkeypatch.setattr("freehold.engines.pool.pool.start_engine", Dying)
    async with pool_of(
        tmp_path, hosted("a"), on_memory=lambda plan, size, why: learned.append((plan.model, size, why))
    ) as pool:
        with pytest.raises(EngineError, match="out of memory"):
            await pool.load("a")
        (row,) = pool.status()
        assert row.state == "failed" and "out of memory" in row.trouble
        assert row.bytes == round(1.25 * GIB)
        assert learned[0][:2] == ("a", round(1.25 * GIB))


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
    async with pool_of(tmp_path, hosted("a")) as pool:
        await pool.load("a")
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
    async with pool_of(tmp_path, hosted("a")) as pool:
        first = await pool.load("a")
        with pytest.raises((UsageError, EngineError)):
            await pool.add_adapter("a", AdapterMount(name="a:t", path=str(tmp_path / "gone.json")))
        assert pool.endpoint("a") == first and pool.model_of("a:t") is None


def test_names_of_files():
    assert safe("org/model:tag") == "org-model-tag"
    assert safe("///") == "model"
