"""What the console's own HTTP API takes for searches, filters and pages of items, by the clock of who asks.

Each request draws another query of its kind, so that no answer comes from the console's memory.
"""

from __future__ import annotations

import http.client
import json
import random
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from benchmarks.console.project import ROUTE, Served, cpu_s
from benchmarks.trace_search import KEYS, VOCABULARY, Generator

GOAL_MS = 200.0
Draw = Callable[[], dict[str, Any]]
_ALL = {"window_s": 0}


class Asked(NamedTuple):
    """Milliseconds of a kind of request by the clock, processor time of the console's process for one, and how many of
    its answers held nothing."""

    kind: str
    p50_ms: float
    p95_ms: float
    most_ms: float
    cpu_ms: float
    empty: int
    times: int


def searches(made: Generator) -> dict[str, Draw]:
    """Kinds of search, as the screen Traffic sends them."""
    draw = random.Random(7)

    def common() -> str:
        return f"w{draw.randrange(20):x}"

    def digits(count: int) -> str:
        return "".join(draw.choice("0123456789abcdef") for _ in range(count))

    return {
        "a quarter of an hour": lambda: {"most": draw.randrange(40, 60)},
        "a day": lambda: {"window_s": 86_400 + draw.randrange(999)},
        "all there is": lambda: _ALL | {"most": draw.randrange(40, 60)},
        "a page in the middle": lambda: _ALL | {"after": draw.randrange(made.count)},
        "user": lambda: _ALL | {"user": made.user(), "most": draw.randrange(20, 60)},
        "key and error": lambda: (
            _ALL
            | {"api_key": f"key-{draw.randrange(KEYS)}", "status": "error", "most": draw.randrange(20, 60)}
        ),
        "route, candidate, 5xx": lambda: (
            _ALL | {"route": ROUTE, "arm": "candidate", "status": "5xx", "most": draw.randrange(20, 60)}
        ),
        "slower than 4 s, one user": lambda: (
            _ALL | {"slower_than_ms": 4000 + draw.random(), "user": made.user()}
        ),
        "slower than 10 s, a day": lambda: {"window_s": 86_400, "slower_than_ms": 10_000 + draw.random()},
        "upstream id": lambda: _ALL | {"upstream_id": f"req_{draw.randrange(made.count):024x}"},
        "a common word": lambda: _ALL | {"text": common(), "most": draw.randrange(20, 60)},
        "a common word, an hour": lambda: {"window_s": 3600 + draw.random(), "text": common()},
        "a common word, one user": lambda: _ALL | {"text": common(), "user": made.user()},
        "a rare word": lambda: _ALL | {"text": f"w{draw.randrange(VOCABULARY - 5000, VOCABULARY):x}"},
        "three words": lambda: _ALL | {"text": made.said(3)},
        "a phrase": lambda: _ALL | {"text": f'"{made.said(2)}"'},
        "beginning of one letter": lambda: _ALL | {"text": "w*", "most": draw.randrange(20, 60)},
        "beginning of one letter that is not there": lambda: (
            _ALL | {"text": f"{draw.choice('bcdz')}*", "after": draw.randrange(made.count // 2, made.count)}
        ),
        "beginning of two letters": lambda: _ALL | {"text": f"w{digits(1)}*", "most": draw.randrange(20, 60)},
        "beginning of three letters": lambda: _ALL | {"text": f"w{digits(2)}*"},
        "beginning of four letters": lambda: _ALL | {"text": f"w{digits(3)}*"},
        "two beginnings": lambda: _ALL | {"text": f"w{digits(1)}* w{digits(2)}*"},
    }


def items() -> dict[str, Draw]:
    """Kinds of page of the screen Proof."""
    draw, languages = random.Random(9), ("de", "en", "fr")
    return {
        "first page": lambda: {"after": draw.randrange(5)},
        "a page of all": lambda: {"show": "all", "after": draw.randrange(9000)},
        "a page of what differs": lambda: {"show": "different", "after": draw.randrange(5000)},
        "a slice's losses": lambda: {
            "slice": f"language={draw.choice(languages)}",
            "after": draw.randrange(500),
        },
    }


class Asker:
    """One connection to a console, kept."""

    def __init__(self, served: Served) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=120)
        self._headers = {"Authorization": f"Bearer {served.token}"}

    def screen(self, name: str, query: dict[str, Any]) -> tuple[float, dict[str, Any]]:
        """Milliseconds, and the record."""
        began = time.perf_counter()
        self._connection.request("GET", f"/api/screens/{name}?{urlencode(query)}", headers=self._headers)
        reply = self._connection.getresponse()
        body = reply.read()
        took = (time.perf_counter() - began) * 1000
        if reply.status != 200:
            raise SystemExit(f"{name} {query}: {reply.status} {body[:300]!r}")
        return took, json.loads(body)


def asked(served: Served, screen: str, kinds: dict[str, Draw], repeat: int) -> list[Asked]:
    """Each kind `repeat` times, one request after the other."""
    asker, rows = Asker(served), []
    asker.screen(screen, {})
    for kind, draw in kinds.items():
        times, empty, before = [], 0, cpu_s(served.process)
        for _ in range(repeat):
            took, record = asker.screen(screen, draw())
            times.append(took)
            page = record["page"]["traces"] if screen == "traffic" else record["detail"]["items"]["items"]
            empty += not page
        cpu_ms = (cpu_s(served.process) - before) * 1000 / repeat
        cut = statistics.quantiles(times, n=20)
        rows.append(Asked(kind, statistics.median(times), cut[-1], max(times), cpu_ms, empty, repeat))
    return rows
