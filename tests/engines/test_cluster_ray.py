"""Replicas on a real Ray cluster of two nodes on this machine: balance, a killed replica, a killed node."""

import asyncio
import collections
import contextlib
import json
import os
import signal
import time

import aiohttp
import msgspec
import pytest

pytest.importorskip("ray.serve")
import ray
from ray.cluster_utils import Cluster
from ray.serve.exceptions import RayServeException

from freehold.engines import cluster as cluster_ray
from freehold.engines.cluster import REPLICA_HEADER
from freehold.errors import EngineError
from freehold.processes import claim_port
from freehold.types.config import ClusterConfig
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.types.serving import ClusterPlan

# Ray gives up nodes and actors that start slowly, as among other tests (ray-project/ray#65983).
pytestmark = [
    pytest.mark.weights,
    pytest.mark.alone,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # Ray's own, about its own future
    pytest.mark.anyio,
]

SMALL = 200 << 20
ASK = {"messages": [{"role": "user", "content": "Where is my order?"}], "max_tokens": 4}


@pytest.fixture(scope="module")
def cluster():
    """Two nodes with room for two replicas each; the first is the head."""
    os.environ.update(cluster_ray.QUIET)
    node = {"num_cpus": 2, "object_store_memory": 80 << 20, "include_dashboard": False}
    made = started(node)
    cluster_ray.connect(made.address)
    yield made
    cluster_ray.disconnect()
    made.shutdown()


def started(node):
    """A cluster, in at most three tries."""
    for number in range(3):
        made = Cluster()
        try:
            made.add_node(**node)
            made.second = made.add_node(num_cpus=2, object_store_memory=80 << 20)
            return made
        except Exception:
            made.shutdown()
            if number == 2:
                raise
    return None


@pytest.fixture(scope="module")
def port():
    return claim_port()


def plan_for(serve, port, **fields):
    fields = {"replicas": 2, "cpus": 0.5, "port": port, **fields}
    return ClusterPlan(name="freehold-test", serve=serve, config=ClusterConfig(**fields), memory_bytes=SMALL)


async def ask(http, url, model="base", **fields):
    """``(status, replica, text)`` of one request."""
    async with http.post(f"{url}/v1/chat/completions", json={"model": model, **ASK, **fields}) as reply:
        raw = await reply.read()
        text = ""
        with contextlib.suppress(ValueError, KeyError):
            text = json.loads(raw)["choices"][0]["message"]["content"]
        return reply.status, reply.headers.get(REPLICA_HEADER), text


async def until(holds, seconds=90):
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, cluster_ray.state("freehold-test")
        await asyncio.sleep(0.3)
    return found


def running(name="freehold-test"):
    return [one for one in cluster_ray.state(name).replicas if one.state == "RUNNING"]


@pytest.fixture(scope="module")
def serve_plan(tmp_path_factory):
    """An engine that is a process of its own, as all are that have weights."""
    answers = tmp_path_factory.mktemp("answers") / "tuned.json"
    answers.write_text('{"Where is my order?": "tracking"}')
    mounts = (AdapterMount(name="base:tuned", path=str(answers)),)
    options = {"in_process": False, "delay_ms": 100}
    return ServePlan(engine="echo", model="base", adapters=mounts, context_tokens=256, options=options)


@pytest.fixture(scope="module")
def deployed(cluster, serve_plan, port, tmp_path_factory):
    made = plan_for(serve_plan, port)
    cluster_ray.deploy(made, log_dir=tmp_path_factory.mktemp("logs"))
    yield f"http://127.0.0.1:{port}"
    cluster_ray.remove(made.name)


async def test_requests_are_balanced_over_two_nodes(deployed):
    replicas = running()
    assert len(replicas) == 2 and len({one.node for one in replicas}) == 2
    async with aiohttp.ClientSession() as http:
        answers = await asyncio.gather(*(ask(http, deployed) for _ in range(32)))
    assert {status for status, _, _ in answers} == {200}
    shares = collections.Counter(replica for _, replica, _ in answers)
    assert len(shares) == 2 and min(shares.values()) >= 6, shares


async def test_streams_names_and_mistakes_go_through(deployed):
    async with aiohttp.ClientSession() as http:
        body = {"model": "base", **ASK, "stream": True}
        async with http.post(f"{deployed}/v1/chat/completions", json=body) as reply:
            text = (await reply.read()).decode()
        assert reply.headers["content-type"].startswith("text/event-stream")
        assert text.startswith("data: ") and text.rstrip().endswith("data: [DONE]")
        status, _, _ = await ask(http, deployed, "nobody")
        assert status == 404
        status, _, _ = await ask(http, deployed, messages="none")
        assert 400 <= status < 500
        async with http.get(f"{deployed}/v1/models") as reply:
            listed = [row["id"] for row in (await reply.json())["data"]]
        assert listed == ["base", "base:tuned"]
        assert (await ask(http, deployed, "base:tuned"))[2] == "tracking"


async def test_an_engine_that_is_killed_in_a_replica_is_restarted_there(deployed, cluster):
    import psutil

    before = {one.id for one in running()}
    engines = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any("freehold.engines." in part for part in process.info["cmdline"] or ())
        and any(parent.pid in {node.pid for node in _raylets(cluster)} for parent in process.parents())
    ]
    assert engines
    engines[0].send_signal(signal.SIGKILL)
    async with aiohttp.ClientSession() as http:
        deadline = time.monotonic() + 60
        while {status for status, _, _ in [await ask(http, deployed) for _ in range(6)]} != {200}:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.3)
    assert {one.id for one in running()} == before


async def test_a_killed_node_is_survived(cluster, deployed):
    """The second node is gone afterwards; both replicas are then on the one that is left."""
    head = ray.get_runtime_context().get_node_id()
    gone = {one.id for one in running() if one.node != head}
    cluster.remove_node(cluster.second, allow_graceful=False)
    async with aiohttp.ClientSession() as http:
        await until(lambda: cluster_ray.state("freehold-test").nodes == 1)
        await until(lambda: running() and {one.node for one in running()} == {head})
        answers = [await ask(http, deployed) for _ in range(8)]
        assert {status for status, _, _ in answers} == {200}
        assert not gone & {replica for _, replica, _ in answers}


async def test_a_killed_replicas_traffic_moves_and_it_comes_back(deployed):
    await until(lambda: len(running()) == 2)
    first = running()
    async with aiohttp.ClientSession() as http:
        _, victim, _ = await ask(http, deployed)
        actor = next(
            one for one in ray.util.list_named_actors(all_namespaces=True) if one["name"].endswith(victim)
        )
        ray.kill(ray.get_actor(actor["name"], namespace=actor["namespace"]), no_restart=False)
        await until(lambda: victim not in {one.id for one in running()})
        answers = [await ask(http, deployed) for _ in range(8)]
        assert {status for status, _, _ in answers} == {200}
        assert victim not in {replica for _, replica, _ in answers}
        await until(lambda: len(running()) == 2)
    assert {one.id for one in running()} != {one.id for one in first}


def _raylets(cluster):
    import psutil

    found = []
    for node in cluster.list_all_nodes():
        for info in node.all_processes.get("raylet", ()):
            found.append(psutil.Process(info.process.pid))
    return found


def test_a_plan_that_cannot_start_says_why(cluster, port, tmp_path):
    with contextlib.suppress(RayServeException):  # two cannot have the same address
        cluster_ray.remove("freehold-test")
    broken = ServePlan(engine="llamacpp", model="base", weights_path=str(tmp_path / "gone.gguf"))
    made = msgspec.structs.replace(plan_for(broken, port, replicas=1), name="freehold-broken")
    with pytest.raises(EngineError, match="could not be deployed"):
        cluster_ray.deploy(made, log_dir=tmp_path)
    cluster_ray.remove(made.name)


def test_a_cluster_that_is_not_there_is_told_at_once(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    began = time.monotonic()
    with pytest.raises(EngineError, match=r"no Ray cluster answers at 127\.0\.0\.1:1: ") as caught:
        cluster_ray.connect("127.0.0.1:1")
    assert time.monotonic() - began < 10 and "ray start --head" in caught.value.hint
