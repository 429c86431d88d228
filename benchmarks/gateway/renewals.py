"""How many requests are lost while a gateway's workers are renewed (SIGUSR2) under load: none is wanted.

    nice -n 10 python -m benchmarks.gateway.renewals --renewals 100 --requests 100000 [--tls] [--json]

A gateway as it is by default (a store, traces captured, a key required) before one fake upstream. Five client libraries
(aiohttp, httpx, OpenAI's, Anthropic's, requests) keep their connections and never try again; each has a process and
`--tasks` tasks, which pause for up to 0.3 s and sometimes 5 s between requests. A quarter of the requests are for short
streams. A renewal begins when the workers of the one before have ended. Each lost request is named: library, error,
and during or after which renewal. Exits with 1 when one was lost, or a whole answer has no trace in the store.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import json
import math
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from benchmarks.gateway.renewal_clients import LIBRARIES
from benchmarks.gateway.upstream_process import upstream

from freehold.gateway import serve
from freehold.gateway.config import GatewayConfig, TlsFiles
from freehold.processes import claim_port
from freehold.store import open_store
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import Limits
from freehold.workflows.shift import keys

ROOT = Path(__file__).parents[2]
_RENEWED_WITHIN_S = 150.0
_STARTED_WITHIN_S = 120.0
_LOOK_EVERY_S = 0.1


class LoadClient:
    """A library's process. Told to stop it ends its requests; `result` is what it told last."""

    def __init__(self, base_url: str, library: str, key: str, tasks: int, ca: str | None) -> None:
        command = [sys.executable, "-m", "benchmarks.gateway.renewal_clients", base_url, library]
        command += ["--tasks", str(tasks), "--key", key, *(("--ca", ca) if ca else ())]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        self.result: dict[str, Any] = {
            "library": library,
            "asked": 0,
            "streams": 0,
            "lost": [],
            "ended": False,
        }
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.result = json.loads(line)

    def stop(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def end(self) -> dict[str, Any]:
        """What it found. Raises `RuntimeError` where its process failed."""
        self._process.wait(120)
        self._reader.join(10)
        assert self._process.stdout is not None
        self._process.stdout.close()
        if self._process.returncode or not self.result["ended"]:
            raise RuntimeError(
                f"the clients of {self.result['library']} ended with {self._process.returncode}"
            )
        return self.result


class Renewal(NamedTuple):
    """When it was asked for, and when no old worker was there any more: seconds of the monotonic clock."""

    asked_s: float
    done_s: float


def worker_ids(running: serve.RunningGateway) -> set[int]:
    """The processes of the gateway's workers."""
    found = set()
    for process in psutil.Process(running.process.pid).children():
        with contextlib.suppress(psutil.Error):  # it has just ended
            if "freehold.gateway.worker" in process.cmdline():
                found.add(process.pid)
    return found


def renew(running: serve.RunningGateway) -> Renewal | None:
    """Renew, and wait until only new workers are there. None where that takes too long: workers that do not come up
    within half a minute are given up by the gateway, and the old ones stay."""
    before, began_s = worker_ids(running), time.monotonic()
    running.renew()
    while time.monotonic() - began_s < _RENEWED_WITHIN_S:
        time.sleep(_LOOK_EVERY_S)
        now = worker_ids(running)
        if now and not now & before:
            return Renewal(began_s, time.monotonic())
    return None


def when(at_s: float, renewals: Sequence[Renewal]) -> str:
    """Where a moment lies among the renewals, as people number them."""
    number = bisect.bisect_right([one.asked_s for one in renewals], at_s)
    if number == 0:
        return "before the first renewal"
    return f"{'in' if at_s <= renewals[number - 1].done_s else 'after'} renewal {number}"


def measured(
    folder: Path,
    *,
    renewals: int,
    requests: int,
    tasks: int,
    workers: int = 2,
    libraries: Sequence[str] = LIBRARIES,
    tls: bool = False,
    minutes: float = math.inf,
) -> dict[str, Any]:
    """Renew at least `renewals` times, and until `requests` have been asked, or `minutes` have passed; what was asked
    and what was lost."""
    files, ca = certificate(folder) if tls else (None, None)
    with upstream() as upstream_url:
        config = GatewayConfig(
            endpoints=(Endpoint(name="one", engine="remote", base_url=upstream_url, models=ANY_SERVED),),
            port=claim_port(),
            store_url=f"sqlite:///{folder / 'freehold.sqlite3'}",
            capture="raw",
            workers=workers,
            keys_required=True,
            tls=files,
        )
        assert config.store_url is not None
        with open_store(config.store_url) as store:
            key = keys.add(store, "renewals", limits=Limits(), who="benchmark", at=datetime.now(UTC)).secret
        began_s = time.monotonic()
        ends_s = began_s + minutes * 60
        running = serve.start(config, log=folder / "gateway.log", timeout_s=_STARTED_WITHIN_S)
        with contextlib.ExitStack() as stack:
            stack.callback(running.stop)
            clients = [LoadClient(running.base_url, one, key, tasks, ca) for one in libraries]
            done: list[Renewal] = []
            given_up = 0
            try:
                _wait_until_all_ask(clients)
                while time.monotonic() < ends_s and (
                    len(done) < renewals or sum(one.result["asked"] for one in clients) < requests
                ):
                    if (renewal := renew(running)) is None:
                        given_up += 1
                        _say(f"given up: {(folder / 'gateway.log').read_text()[-1000:]}")
                        continue
                    done.append(renewal)
                    asked = sum(one.result["asked"] for one in clients)
                    lost_so_far = sum(len(one.result["lost"]) for one in clients)
                    _say(f"renewal {len(done)}: {asked} requests so far, {lost_so_far} lost")
                time.sleep(2)
            finally:
                for one in clients:
                    one.stop()
            told = [one.end() for one in clients]
        # The gateway has ended: what it answered is in the store, or will not be.
        whole = sum(one["asked"] - len(one["lost"]) for one in told)
        stored = _stored(folder / "freehold.sqlite3")
    lost = [{**each, "when": when(each["at_s"], done)} for one in told for each in one["lost"]]
    took_s = sorted(one.done_s - one.asked_s for one in done) or [math.nan]
    return {
        "renewals": len(done),
        "given_up": given_up,
        "renewal_p50_s": took_s[len(took_s) // 2],
        "renewal_max_s": took_s[-1],
        "seconds": time.monotonic() - began_s,
        "tls": tls,
        "asked": {one["library"]: one["asked"] for one in told},
        "streams": sum(one["streams"] for one in told),
        "lost": lost,
        "whole": whole,
        "traces": stored,
    }


def _wait_until_all_ask(clients: Sequence[LoadClient]) -> None:
    end = time.monotonic() + _STARTED_WITHIN_S
    while not all(one.result["asked"] for one in clients):
        if time.monotonic() > end:
            raise RuntimeError(f"some clients do not ask: {[one.result for one in clients]}")
        time.sleep(_LOOK_EVERY_S)


def _stored(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT sum(traces) FROM trace_blocks").fetchone()[0] or 0)


def certificate(folder: Path) -> tuple[TlsFiles, str]:
    """A certificate for this machine's own names, made in a folder, and the file of the authority that made it."""
    import trustme

    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1", "localhost")
    chain, key, ca = folder / "chain.pem", folder / "key.pem", folder / "ca.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    ca.write_bytes(authority.cert_pem.bytes())
    return TlsFiles(certificate=str(chain), key=str(key)), str(ca)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def text(found: dict[str, Any]) -> str:
    """The result for people."""
    asked = sum(found["asked"].values())
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores, {found['seconds']:.0f} s: "
        f"{found['renewals']} renewals{' over TLS' if found['tls'] else ''} (median {found['renewal_p50_s']:.1f} s, "
        f"longest {found['renewal_max_s']:.1f} s; given up by the gateway {found['given_up']})",
        f"asked {asked:,}, of these {found['streams']:,} streams: "
        + ", ".join(f"{library} {count:,}" for library, count in found["asked"].items()),
        f"lost {len(found['lost'])}; whole answers {found['whole']:,}, traces in the store {found['traces']:,}",
    ]
    kinds = Counter(
        (one["library"], one["kind"], one["error"], one["when"]) for one in found["lost"]
    ).most_common()
    lines += [f"  {count} × {', '.join(kind)}" for kind, count in kinds]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gateway.renewals",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--renewals", type=int, default=100, help="at least (default: 100)")
    parser.add_argument("--requests", type=int, default=100_000, help="at least (default: 100000)")
    parser.add_argument("--tasks", type=int, default=6, help="of each library (default: 6)")
    parser.add_argument("--workers", type=int, default=2, help="of the gateway (default: 2)")
    parser.add_argument("--libraries", nargs="+", choices=LIBRARIES, default=LIBRARIES)
    parser.add_argument("--tls", action="store_true", help="clients connect over TLS")
    parser.add_argument("--minutes", type=float, default=math.inf, help="at most (default: no end)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="freehold-renewals-") as folder:
        found = measured(
            Path(folder),
            renewals=given.renewals,
            requests=given.requests,
            tasks=given.tasks,
            workers=given.workers,
            libraries=given.libraries,
            tls=given.tls,
            minutes=given.minutes,
        )
    print(json.dumps(found, indent=1) if given.json else text(found))
    return 1 if found["lost"] or found["traces"] < found["whole"] else 0


if __name__ == "__main__":
    sys.exit(main())
