"""The pool with echo engines: loading, queueing, leaving, adapters that come and go, crashes under load."""

import asyncio
import contextlib
import json
import os
import signal

import aiohttp
import msgspec
import pytest

from freehold.engines.pool import HostedModel, Pool, PoolBusyError, PoolLimits, drain
from freehold.engines.pool.control import Control
from freehold.engines.pool.front import Front
from freehold.engines.pool.pool import safe
from freehold.errors import EngineError, UsageError
from freehold.types.endpoint import AdapterMount, ServePlan

pytestmark = pytest.mark.anyio

GIB = 1 << 30


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(drain, "FOLLOW_SECONDS", 0.05)
    monkeypatch.setattr(drain, "LOOK_SECONDS", 0.05)


def hosted(name, *, gib=1, pinned=False, **options):
    plan = ServePlan(
        engine="echo", model=name, context_tokens=256, parallel=4, options={"in_process": True, **options}
    )
    return HostedModel(plan=plan, bytes=gib * GIB, pinned=pinned)


@contextlib.asynccontextmanager
async def pool_of(tmp_path, *models, budget_gib=2, **named):
    limits = {name: named.pop(name) for name in PoolLimits.__struct_fields__ if name in named}
    pool = Pool(models, PoolLimits(budget_bytes=budget_gib * GIB, **limits), log_dir=tmp_path, **named)
    try:
        yield pool
    finally:
        await pool.close()


def states(pool):
    return {one.model: one.state for one in pool.status()}


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


async def test_adapters_come_and_go_without_a_failed_request(tmp_path):
    answers = tmp_path / "tuned.json"
    answers.write_text('{"ping": "tuned pong"}')
    changes = []
    plan = hosted("a", token_delay_ms=5, default="one two three four five six")
    async with (
        pool_of(tmp_path, plan, on_change=lambda: changes.append(1)) as pool,
        served(pool) as (front, http),
    ):
        await pool.load("a")
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
        assert len(changes) == 3


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


async def test_an_engine_killed_under_load_costs_waiting_not_answers(tmp_path):
    one = hosted("a", delay_ms=30)
    plan = msgspec.structs.replace(one.plan, options={"delay_ms": 30})
    async with pool_of(tmp_path, HostedModel(plan=plan, bytes=GIB)) as pool, served(pool) as (front, http):
        await pool.load("a")
        asked = [asyncio.create_task(ask(http, front, "a")) for _ in range(8)]
        await asyncio.sleep(0.05)
        os.kill(pool.health("a").process_id, signal.SIGKILL)
        asked += [asyncio.create_task(ask(http, front, "a")) for _ in range(8)]
        assert {status for status, _ in await asyncio.gather(*asked)} == {200}
        assert pool.health("a").restarts == 1


async def test_the_front_lists_refuses_and_streams(tmp_path):
    async with pool_of(tmp_path, hosted("a"), hosted("b")) as pool, served(pool) as (front, http):
        async with http.get(f"{front.base_url}/v1/models") as reply:
            assert [one["id"] for one in (await reply.json())["data"]] == ["a", "b"]
        for body, status in (("[1]", 400), ("{}", 400), ('{"model": "x"}', 404)):
            async with http.post(f"{front.base_url}/v1/chat/completions", data=body) as reply:
                assert reply.status == status and "message" in (await reply.json())["error"]
        body = {"model": "b", "stream": True, "messages": [{"role": "user", "content": "one two"}]}
        async with http.post(f"{front.base_url}/v1/chat/completions", json=body) as reply:
            assert reply.content_type == "text/event-stream"
            assert (await reply.text()).rstrip().endswith("data: [DONE]")
        assert states(pool) == {"a": "unloaded", "b": "ready"}


async def test_control_needs_its_token_and_says_what_is_wrong(tmp_path):
    async with pool_of(tmp_path, hosted("a"), hosted("b")) as pool:
        control = Control(pool)
        async with Front(pool, control).running() as front, aiohttp.ClientSession() as http:
            url = f"{front.base_url}/control/v1"
            async with http.post(f"{url}/load", json={"model": "a"}) as reply:
                assert reply.status == 401
            headers = {"authorization": f"Bearer {control.token}"}
            async with http.post(f"{url}/load", json={"model": "a"}, headers=headers) as reply:
                models = (await reply.json())["models"]
                assert [one["state"] for one in models] == ["ready", "unloaded"]
            async with http.post(f"{url}/unload", json={"model": "a"}, headers=headers) as reply:
                assert (await reply.json())["models"][0]["state"] == "unloaded"
            async with http.post(f"{url}/load", json={"model": "x"}, headers=headers) as reply:
                assert reply.status == 409 and "x" in (await reply.json())["error"]["message"]
            async with http.post(f"{url}/load", data="{", headers=headers) as reply:
                assert reply.status == 400


def test_names_of_files():
    assert safe("org/model:tag") == "org-model-tag"
    assert safe("///") == "model"


@contextlib.asynccontextmanager
async def served(pool):
    async with Front(pool, Control(pool)).running() as front, aiohttp.ClientSession() as http:
        yield front, http


async def ask(http, front, model, text="hello"):
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    async with http.post(f"{front.base_url}/v1/chat/completions", data=json.dumps(body)) as reply:
        answer = await reply.json()
    return reply.status, answer["choices"][0]["message"]["content"] if reply.status == 200 else answer
