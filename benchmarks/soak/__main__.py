"""A gateway under mixed traffic for a long time: memory and descriptors stay flat, and counters add up exactly.

    python -m benchmarks.soak [--minutes 20] [--rate 60] [--workers 2] [--seed 13] [--json]

Plain answers, streams, long questions, clients that leave, wrong keys, mirrored requests; every 20 seconds routes
change their state and a new key takes the place of the old one. Exits with 1 when something grows or does not add up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.gateway.upstream_process import upstream
from benchmarks.soak import balance, watch
from benchmarks.soak.changes import Changes
from benchmarks.soak.traffic import MODEL, Traffic
from freehold.gateway import serve
from freehold.gateway.config import GatewayConfig
from freehold.processes import claim_port
from freehold.store import open_store
from freehold.store.database import file_url
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import Limits, Route, Target
from freehold.workflows.shift import keys

_SLACK = {"memory_mib": 6.0, "descriptors": 6.0}
_SETTLED_WITHIN_S = 60.0
_CHANGE_EVERY_S = 20.0


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=20.0, help="how long (default: 20)")
    parser.add_argument("--rate", type=float, default=60.0, help="requests a second (default: 60)")
    parser.add_argument("--workers", type=int, default=2, help="of the gateway (default: 2)")
    parser.add_argument("--seed", type=int, default=13, help="draws the traffic (default: 13)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    given = parser.parse_args()
    if given.minutes < 0.5:
        parser.error(f"--minutes is {given.minutes:g}, expected 0.5 or more")
    with tempfile.TemporaryDirectory(prefix="freehold-soak-") as folder, upstream() as url:
        result = asyncio.run(_soak(given, Path(folder), url))
    print(json.dumps(result, indent=1) if given.json else _text(result))
    return 0 if result["flat"] and result["adds_up"] else 1


def _config(folder: Path, url: str, workers: int) -> GatewayConfig:
    names = ("incumbent", "candidate")
    return GatewayConfig(
        endpoints=tuple(
            Endpoint(name=name, engine="remote", base_url=url, models=ANY_SERVED) for name in names
        ),
        port=claim_port(),
        store_url=f"sqlite:///{folder / 'freehold.sqlite3'}",
        capture="raw",
        workers=workers,
        drain_s=5.0,
        keys_required=True,
    )


def _routes() -> list[Route]:
    """One for plain questions, one for streams; both may go to the candidate."""
    incumbent, candidate = Target(endpoint="incumbent"), Target(endpoint="candidate")
    return [
        Route(name=name, model=model, incumbent=incumbent, candidate=candidate)
        for name, model in (("plain", MODEL), ("streams", "stream-1"))
    ]


async def _soak(given: argparse.Namespace, folder: Path, url: str) -> dict[str, Any]:
    config = _config(folder, url, given.workers)
    assert config.store_url is not None
    with open_store(config.store_url) as store:
        made = keys.add(store, "soak-0", limits=Limits(), who="soak", at=datetime.now(UTC))
    with serve.started(config, log=folder / "gateway.log") as running:
        await asyncio.sleep(2)
        main_process = psutil.Process(running.process.pid)
        traffic = Traffic(config.port, made.secret, per_second=given.rate, seed=given.seed)
        changes = Changes(config.store_url, _routes(), traffic, every_s=_CHANGE_EVERY_S)
        samples: list[dict[str, watch.Sample]] = []
        tasks = [asyncio.create_task(changes.run()), asyncio.create_task(_watch(main_process, samples))]
        seconds = given.minutes * 60
        tasks.append(asyncio.create_task(_tell(traffic, seconds)))
        await traffic.run(seconds)
        for task in tasks:
            task.cancel()
        for task in await asyncio.gather(*tasks, return_exceptions=True):
            if not isinstance(task, asyncio.CancelledError) and task is not None:
                raise task
        await _settle(config.port, traffic, folder / "freehold.sqlite3")
        counters = balance.parsed(_page(config.port))
    seen = balance.Seen(
        len(traffic.answered), traffic.refused, traffic.left_before, traffic.left_within, traffic.failed
    )
    sums = balance.lines(seen, counters, _stored(folder / "freehold.sqlite3", traffic.answered))
    return _result(given, traffic, changes, samples, sums)


async def _watch(main_process: psutil.Process, samples: list[dict[str, watch.Sample]]) -> None:
    while True:
        samples.append(await asyncio.to_thread(watch.sampled, main_process, time.monotonic()))
        await asyncio.sleep(2)


async def _tell(traffic: Traffic, seconds: float) -> None:
    began_s = time.monotonic()
    while True:
        await asyncio.sleep(30)
        passed = (time.monotonic() - began_s) / 60
        print(
            f"{passed:.1f} of {seconds / 60:g} min: {sum(traffic.kinds.values())} requests, "
            f"{sum(traffic.failed.values())} failed",
            file=sys.stderr,
            flush=True,
        )


def _page(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        text: str = answer.read().decode()
        return text


async def _settle(port: int, traffic: Traffic, store: Path) -> None:
    """Wait until what was captured is stored or lost: the processes write their counters twice a second."""
    end = time.monotonic() + _SETTLED_WITHIN_S
    calm = 0
    while time.monotonic() < end and calm < 4:
        await asyncio.sleep(1)
        counters = balance.parsed(await asyncio.to_thread(_page, port))
        total = {
            name: sum(v for key, v in counters.items() if key[0] == f"freehold_traces_{name}")
            for name in ("captured", "stored", "lost")
        }
        calm = calm + 1 if total["captured"] == total["stored"] + total["lost"] else 0


def _stored(store: Path, answered: set[str]) -> balance.Stored:
    with open_store(file_url(store)) as opened:
        parents = {one.id: one.parent_id for one in opened.traces(complete_only=False, replaced=True)}
    of_clients = {id for id, parent in parents.items() if parent is None}
    return balance.Stored(len(of_clients), len(parents) - len(of_clients), len(answered - of_clients))


def _result(
    given: argparse.Namespace,
    traffic: Traffic,
    changes: Changes,
    samples: list[dict[str, watch.Sample]],
    sums: list[balance.Line],
) -> dict[str, Any]:
    trends = {}
    # Readers end when they have read much, and are started again: their number changes.
    for role in ("main", "workers", "recorder"):
        series = [sample[role] for sample in samples if role in sample]
        for field, slack in _SLACK.items():
            found = watch.trend([one.at_s for one in series], [getattr(one, field) for one in series])
            trends[f"{role} {field}"] = {**found._asdict(), "flat": found.is_flat(slack)}
    return {
        "minutes": given.minutes,
        "rate": given.rate,
        "workers": given.workers,
        "seed": given.seed,
        "requests": dict(traffic.kinds),
        "behind": traffic.behind,
        "failed": dict(traffic.failed),
        "routes_changed": changes.routes_changed,
        "keys_changed": changes.keys_changed,
        "trends": trends,
        "sums": [{**line._asdict(), "holds": line.holds} for line in sums],
        "flat": all(one["flat"] for one in trends.values()),
        "adds_up": all(line.holds for line in sums),
    }


def _text(result: dict[str, Any]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in result["requests"].items())
    lines = [
        f"{result['minutes']:g} min, {result['rate']:g} requests/s, {result['workers']} workers: {kinds}",
        f"routes changed {result['routes_changed']} times, keys {result['keys_changed']} times; "
        f"left out because too many were under way: {result['behind']}; failed: {result['failed'] or 0}",
        "",
        "| processes | mean | slope an hour | grew by | |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {one['mean']:.1f} | {one['per_hour']:+.1f} | {one['growth']:+.2f} | "
        f"{'flat' if one['flat'] else 'GROWS'} |"
        for name, one in result["trends"].items()
    ]
    lines += ["", "| sum | left | right | |", "|---|---|---|---|"]
    for one in result["sums"]:
        held = "holds" if one["holds"] else "DOES NOT HOLD"
        lines.append(f"| {one['what']} | {one['left']} | {one['right']} | {held} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
