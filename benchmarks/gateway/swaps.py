"""How many requests are lost, or answered by two generations at once, while a route's own model is swapped under load.

    nice -n 10 python -m benchmarks.gateway.swaps --swaps 100 --rate 300 [--json]

`freehold up` in a process of its own with a store and captured traces, before a fake incumbent and the echo engine.
Generations answer with words of their own. Requests come at a steady rate, every third streamed. A generation is
offered, started beside the present one and swapped in; it is rolled back, offered and swapped in again, and kept, so
that three of the route's changes come on one engine that is started and one that is let go. Exits with 1 when a request
failed or an answer was not whole of one generation.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web

from freehold.processes import claim_port
from freehold.store import Store, open_store
from freehold.types.deferral import DeferralRule
from freehold.types.endpoint import ENDPOINT_NAME, ServePlan
from freehold.types.route import Route, Target
from freehold.workflows import project
from freehold.workflows.project import now
from freehold.workflows.shift import slots, swapping

ROUTE, MODEL = "support", "gpt-4o"
WORDS = 12


def echo(number: int) -> ServePlan:
    """A generation that answers with its own words."""
    return ServePlan(
        engine="echo", model=f"small:{number}", options={"default": " ".join([f"g{number}"] * WORDS)}
    )


class Answer(NamedTuple):
    """What a client got: a status, its words, each once, and the arm and trace that the answer named."""

    status: int
    words: frozenset[str]
    count: int
    arm: str
    trace_id: str
    trouble: str = ""


class Served:
    """A project in `folder` whose route is promoted to generation 0, and its `freehold up`."""

    def __init__(
        self,
        folder: Path,
        make: Callable[[int], ServePlan] = echo,
        rule: Callable[[ServePlan], DeferralRule | None] = lambda plan: None,
        drain_s: float = 2.0,
    ) -> None:
        self.folder, self.make, self.rule = folder, make, rule
        self.port, self.incumbent_port = claim_port(), claim_port()
        self.number = 0
        (folder / "freehold.toml").write_text(
            f'[app]\nname = "{ROUTE}"\n[incumbent]\nmodel = "{MODEL}"\nprice = {{ prompt = 0, completion = 0 }}\n'
            f'base_url = "http://127.0.0.1:{self.incumbent_port}"\n[capture]\nmode = "raw"\n'
            f"[serve]\ndrain_s = {drain_s}\n"
        )
        file = folder / "freehold.toml"
        opened = project.open_project(file, looks=True)  # what is written here is one's own
        project.agree(file, project.reach_of(opened.config, file, opened.settings).all)
        self.store: Store = open_store(opened.store_url)
        plan = make(0)
        self.store.put(plan)
        self.store.save_route(
            Route(
                name=ROUTE,
                model=MODEL,
                incumbent=Target(endpoint="incumbent"),
                candidate=Target(endpoint=ENDPOINT_NAME, model=plan.served_name),
                state="promoted",
                deferral=rule(plan),
            ),
            who="test",
            at=now(),
        )
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """`freehold up`, until it answers."""
        log = (self.folder / "up.log").open("a")
        command = [sys.executable, "-m", "freehold", "up", "--port", str(self.port), "--json"]
        self.process = subprocess.Popen(
            command, cwd=self.folder, env=os.environ, stdout=subprocess.PIPE, stderr=log, text=True
        )
        log.close()
        assert self.process.stdout is not None
        told = ""
        while not (line := self.process.stdout.readline()).startswith("}"):
            told += line
            if not line and self.process.poll() is not None:
                break
        if '"url"' not in told:
            raise AssertionError((self.folder / "up.log").read_text())
        while not slots.holders(self.store, at=now()):  # its first look at the store is a moment later
            time.sleep(0.05)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.communicate(timeout=60)
            self.process = None

    def close(self) -> None:
        self.stop()
        self.store.close()

    def offer(self, plan: ServePlan) -> Any:
        """Offer a generation, and wait until it answers."""
        self.number += 1
        slot = swapping.offer(self.store, ROUTE, plan, self.number, at=now())
        assert swapping.await_ready(self.store, slot, timeout_s=60) == "ready"
        return slot

    def swap(self, plan: ServePlan) -> None:
        slot = self.offer(plan)
        swapping.swap(self.store, ROUTE, slot, self.rule(plan), at=now(), who="test")


def swaps_of(served: Served, most: int, pause_s: float) -> Iterator[int]:
    """Move the route, this often."""
    done = 0
    while done < most:
        plan = served.make(served.number + 1)
        served.swap(plan)
        yield (done := done + 1)
        time.sleep(pause_s)
        if done + 2 <= most:
            assert swapping.back(served.store, ROUTE, who="test", at=now(), why="to and fro") is not None
            yield (done := done + 1)
            time.sleep(pause_s)
            served.swap(plan)
            yield (done := done + 1)
            time.sleep(pause_s)
        swapping.keep(served.store, ROUTE, who="test", at=now())


async def load(
    served: Served, rate: float, stopping: threading.Event, text: Callable[[int], str]
) -> list[Answer]:
    """Ask at a steady rate until told to stop; nothing is tried again."""
    answers: list[Answer] = []
    tasks: set[asyncio.Task[None]] = set()
    limit = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=limit, timeout=timeout) as session, incumbent(served):

        async def one(number: int) -> None:
            answers.append(await ask(session, served.url, text(number), streamed=number % 3 == 0))

        began, number = time.monotonic(), 0
        while not stopping.is_set():
            while number < (time.monotonic() - began) * rate:
                tasks.add(task := asyncio.create_task(one(number)))
                task.add_done_callback(tasks.discard)
                number += 1
            await asyncio.sleep(0.004)
        await asyncio.gather(*tasks)
    return answers


async def ask(session: aiohttp.ClientSession, url: str, text: str, *, streamed: bool) -> Answer:
    body = {"model": MODEL, "stream": streamed, "messages": [{"role": "user", "content": text}]}
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body) as reply:
            data = await reply.read()
            arm, trace = reply.headers.get("x-freehold-arm", ""), reply.headers.get("x-freehold-trace-id", "")
            if reply.status != 200:
                return Answer(reply.status, frozenset(), 0, arm, trace, data[:200].decode())
            said = _streamed(data) if streamed else json.loads(data)["choices"][0]["message"]["content"]
            words = said.split()
            return Answer(200, frozenset(words), len(words), arm, trace)
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError) as error:
        return Answer(0, frozenset(), 0, "", "", f"{type(error).__name__}: {error}")


def _streamed(data: bytes) -> str:
    if b"data: [DONE]" not in data:
        raise ValueError("the stream broke off")
    events = [json.loads(line[6:]) for line in data.splitlines() if line.startswith(b"data: {")]
    return "".join(choice["delta"].get("content") or "" for one in events for choice in one["choices"])


@contextlib.asynccontextmanager
async def incumbent(served: Served) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        asked = await request.json() if request.can_read_body else {}
        message = {"role": "assistant", "content": "incumbent"}
        head = {"id": "i", "created": 1, "model": MODEL}
        if not asked.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            return web.json_response(
                {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
            )
        choice = {"index": 0, "delta": message, "finish_reason": "stop"}
        event = json.dumps({**head, "object": "chat.completion.chunk", "choices": [choice]})
        return web.Response(text=f"data: {event}\n\ndata: [DONE]\n\n", content_type="text/event-stream")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", served.incumbent_port).start()
    try:
        yield
    finally:
        await runner.cleanup()


class Told(NamedTuple):
    """What came of it."""

    answers: list[Answer]
    swaps: int
    seconds: float

    @property
    def failed(self) -> list[Answer]:
        return [one for one in self.answers if one.status != 200]

    @property
    def mixed(self) -> list[Answer]:
        """Answers that are not whole of one generation."""
        whole = lambda one: len(one.words) == 1 and one.count in (1, WORDS)  # noqa: E731
        return [one for one in self.answers if one.status == 200 and not whole(one)]

    def summary(self) -> dict[str, Any]:
        return {
            "swaps": self.swaps,
            "requests": len(self.answers),
            "a_second": round(len(self.answers) / self.seconds, 1),
            "failed": len(self.failed),
            "mixed": len(self.mixed),
            "by_incumbent": sum(one.words == {"incumbent"} for one in self.answers),
            "generations": len({word for one in self.answers for word in one.words} - {"incumbent"}),
            "seconds": round(self.seconds, 1),
            "troubles": dict(Counter(one.trouble[:120] for one in self.failed).most_common(5)),
        }


def run(
    served: Served,
    *,
    swaps: int,
    rate: float,
    pause_s: float = 0.5,
    text: Callable[[int], str] = lambda number: f"question {number}",
) -> Told:
    """Swap under load; `served` runs already."""
    stopping, found = threading.Event(), []

    def ask_all() -> None:
        found.extend(asyncio.run(load(served, rate, stopping, text)))

    thread = threading.Thread(target=ask_all)
    began = time.monotonic()
    thread.start()
    done = 0
    try:
        time.sleep(1.0)
        for done in swaps_of(served, swaps, pause_s):
            if done % 10 == 0:
                print(f"{done} swaps, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        time.sleep(1.5)
    finally:
        stopping.set()
        thread.join()
    return Told(found, done, time.monotonic() - began)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--rate", type=float, default=300.0)
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two moves")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        served = Served(Path(folder))
        try:
            served.start()
            told = run(served, swaps=asked.swaps, rate=asked.rate, pause_s=asked.pause)
        finally:
            served.close()
    summary = told.summary()
    print(
        json.dumps(summary)
        if asked.json
        else "\n".join(f"{name}: {value}" for name, value in summary.items())
    )
    return 1 if told.failed or told.mixed else 0


if __name__ == "__main__":
    sys.exit(main())
