"""How long a search for traces takes in a store of a million, and what the index costs the writer.

    python benchmarks/trace_search.py --traces 1000000 --folder /tmp/search          # table
    python benchmarks/trace_search.py --url postgresql://… --json

The store is generated with a seed and kept in the folder, so that a second run measures at once. Its traces have 5,000
users (some ask a hundred times as often as others), 20 keys, four routes, 2 % errors, 10 % on the candidate, and words
drawn by Zipf's law from 20,000, put together to 5,000 questions and as many answers. Each repetition draws another
query of its kind. `--write` adds traces to the full store, as the recorder does.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from freehold.store import Store, open_store
from freehold.store.search import search, traffic
from freehold.types.record import event_id
from freehold.types.trace import Trace, TraceQuery, Usage

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
SECONDS = 14 * 86_400
USERS, KEYS, ROUTES, VOCABULARY = 5_000, 20, ("support", "search", "mail", "tags"), 20_000
POOL = 5_000
LIMIT_MS = 200.0


class Timed(NamedTuple):
    """A kind of query: milliseconds at the median, at the 95th percentile, at most; this process's time of a processor
    at the median; pages that were empty, and those that were cut."""

    query: str
    p50_ms: float
    p95_ms: float
    most_ms: float
    cpu_ms: float
    empty: int
    cut: int


class Generator:
    """Traces that look like a busy gateway's, the same ones for the same seed."""

    def __init__(self, count: int, seed: int = 20261129) -> None:
        self.count = count
        self._draw = random.Random(seed)
        self._words = [f"w{number:x}" for number in range(VOCABULARY)]
        self._by_word = list(accumulate(1 / (rank + 5) for rank in range(VOCABULARY)))
        self._users = [f"u-{number:05}" for number in range(USERS)]
        self._by_user = list(accumulate(1 / (rank + 20) for rank in range(USERS)))
        # Drawing 140 words takes longer than all else for a trace: questions and answers are drawn from a pool.
        self._questions = [self.said(80) for _ in range(POOL)]
        self._answers = [self.said(60) for _ in range(POOL)]

    def traces(self, first: int, count: int) -> Iterator[Trace]:
        """Traces number `first` on."""
        for number in range(first, first + count):
            yield self._trace(number)

    def said(self, words: int) -> str:
        """Words as they are drawn: the first of the list a thousand times as often as the last."""
        return " ".join(self._draw.choices(self._words, cum_weights=self._by_word, k=words))

    def user(self) -> str:
        return self._draw.choices(self._users, cum_weights=self._by_user)[0]

    def _trace(self, number: int) -> Trace:
        draw = self._draw
        candidate = draw.random() < 0.1
        status = 200 if draw.random() > 0.02 else draw.choice((429, 500, 503))
        request = {
            "model": "gpt-4o-mini",
            "messages": [
                {"role": "system", "content": "You are the support desk of a shop. " * 6},
                {"role": "user", "content": draw.choice(self._questions)},
            ],
        }
        answer = {
            "id": f"chatcmpl-{number:09x}",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": draw.choice(self._answers)}}
            ],
        }
        return Trace(
            id=event_id(1_700_000_000_000 + number),
            at=BEGIN + timedelta(seconds=SECONDS * number / self.count),
            source="gateway",
            model="gpt-4o-mini",
            request=request,
            response=answer,
            status=status,
            route=draw.choice(ROUTES),
            endpoint="local" if candidate else "openai",
            arm="candidate" if candidate else "incumbent",
            user=self.user(),
            api_key=f"key-{draw.randrange(KEYS)}",
            conversation_id=f"c{number // 3}",
            upstream_id=f"req_{number:024x}",
            ttft_ms=50.0,
            total_ms=draw.lognormvariate(6.5, 0.8),
            usage=Usage(prompt_tokens=150, completion_tokens=80),
        )


def queries(made: Generator, seed: int) -> dict[str, Callable[[], TraceQuery]]:
    """Kinds of query, each of which draws one."""
    draw = random.Random(seed)

    def moment() -> datetime:
        return BEGIN + timedelta(seconds=draw.uniform(0, SECONDS))

    def hour() -> dict[str, Any]:
        since = moment()
        return {"since": since, "until": since + timedelta(hours=1)}

    def rare() -> str:
        return f"w{draw.randrange(VOCABULARY - 5000, VOCABULARY):x}"

    def uncommon() -> str:
        return f"w{draw.randrange(1500, 1800):x}"  # in 1 % of all traces

    return {
        "newest page": lambda: TraceQuery(),
        "a page in the middle": lambda: TraceQuery(after=draw.randrange(made.count)),
        "user": lambda: TraceQuery(user=made.user()),
        "a user that is not there": lambda: TraceQuery(user=f"none-{draw.random()}"),
        "key and error": lambda: TraceQuery(api_key=f"key-{draw.randrange(KEYS)}", status="error"),
        "upstream id": lambda: TraceQuery(upstream_id=f"req_{draw.randrange(made.count):024x}"),
        "an hour": lambda: TraceQuery(**hour()),
        "an hour's errors of the candidate": lambda: TraceQuery(status="5xx", arm="candidate", **hour()),
        "slower than 10 s": lambda: TraceQuery(slower_than_ms=10_000),
        "slower than 4 s, one user": lambda: TraceQuery(slower_than_ms=4_000, user=made.user()),
        "a common word": lambda: TraceQuery(text=f"w{draw.randrange(20):x}"),
        "a rare word": lambda: TraceQuery(text=rare()),
        "three words": lambda: TraceQuery(text=made.said(3)),
        "a phrase": lambda: TraceQuery(text=f'"{made.said(2)}"'),
        "the beginning of a word": lambda: TraceQuery(text=f"w{draw.randrange(16, 256):x}*"),
        "two words in 1 % of traces each": lambda: TraceQuery(text=f"{uncommon()} {uncommon()}"),
        "a phrase of two such words that is absent": lambda: TraceQuery(text=f'"{uncommon()} {uncommon()}"'),
        "an absent phrase of two common words": lambda: TraceQuery(
            text=f'"{" ".join(f"w{draw.randrange(20):x}" for _ in range(4))}"'
        ),
        "a common word, one user": lambda: TraceQuery(text=f"w{draw.randrange(20):x}", user=made.user()),
        "a common word, an old hour": lambda: TraceQuery(text=f"w{draw.randrange(20):x}", **hour()),
        "two lists of half the store, nothing in common": lambda: TraceQuery(
            arm="incumbent", endpoint="local", route=draw.choice(ROUTES)
        ),
    }


def filled(store: Store, made: Generator) -> dict[str, float]:
    """Fill the store up to the size that is wanted; seconds it took, where it did."""
    have = store.count_traces(complete_only=False)
    took = {}
    if have < made.count:
        began = time.perf_counter()
        store.add_traces(made.traces(have, made.count - have))
        took["fill_s"] = time.perf_counter() - began
    return took


def timed(name: str, ask: Callable[[], Any], repeat: int) -> Timed:
    """What a query takes, the whole way through the store."""
    times, cpu, empty, cut = [], [], 0, 0
    for _ in range(repeat):
        began, used = time.perf_counter(), time.process_time()
        found = ask()
        times.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - used) * 1000)
        empty += not getattr(found, "traces", True)
        cut += getattr(found, "cut", False)
    p95 = statistics.quantiles(times, n=20)[-1]
    return Timed(name, statistics.median(times), p95, max(times), statistics.median(cpu), empty, cut)


def writes(store: Store, made: Generator, count: int) -> dict[str, float]:
    """Traces a second that the store takes in batches of 256, as the recorder writes them."""
    new = list(made.traces(made.count, count))
    began = time.perf_counter()
    for start in range(0, count, 256):
        store.add_traces(new[start : start + 256])
    wrote = time.perf_counter() - began
    return {"written_a_second": count / wrote}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--traces", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path("trace-search"))
    parser.add_argument("--url", help="another store than a SQLite file in the folder")
    parser.add_argument("--repeat", type=int, default=60)
    parser.add_argument("--write", type=int, default=0, help="then write as many traces, and say how fast")
    parser.add_argument("--as-it-is", action="store_true", help="measure with what is there")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    made = Generator(options.traces)
    with open_store(options.url or f"sqlite:///{options.folder / f'{options.traces}.sqlite'}") as store:
        took = {} if options.as_it_is else filled(store, made)
        if store.database.file is not None:
            size = store.database.file.stat().st_size
            took["bytes_a_trace"] = size / store.count_traces(complete_only=False)
        rows = []
        for name, draw in queries(made, 7).items():
            rows.append(
                timed(
                    name,
                    lambda draw=draw: search(store.database, draw()),
                    options.repeat,
                )
            )
        end = BEGIN + timedelta(seconds=SECONDS)
        for hours in (0.25, 24, 24 * 7):
            since = end - timedelta(hours=hours)
            ask = lambda since=since: traffic(store.database, since=since, until=end)  # noqa: E731
            rows.append(timed(f"traffic of {hours:g} hours", ask, options.repeat))
        wrote = writes(store, made, options.write) if options.write else {}
    slow = [row.query for row in rows if row.p95_ms > LIMIT_MS]
    if options.json:
        print(json.dumps({**took, **wrote, "queries": [row._asdict() for row in rows]}))
    else:
        for name, value in {**took, **wrote}.items():
            print(f"{name:<50} {value:10,.1f}")
        print(f"{'query':<50} {'p50 ms':>8} {'p95 ms':>8} {'most':>8} {'cpu ms':>8}  empty  cut")
        for row in rows:
            times = f"{row.p50_ms:8.1f} {row.p95_ms:8.1f} {row.most_ms:8.1f} {row.cpu_ms:8.1f}"
            print(f"{row.query:<50} {times} {row.empty:6} {row.cut:4}")
        print(f"above {LIMIT_MS:.0f} ms at p95: {', '.join(slow) or 'none'}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
