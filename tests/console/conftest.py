"""A project with traffic and a rollout that mirrors, and its console on a free port."""

import asyncio
import http.client
import random
import threading
import time
import urllib.parse
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from freehold.console import app
from freehold.console.guard import Visitor
from freehold.store import open_store
from freehold.types.evaluation import Task
from freehold.types.rollout import RolloutTerms
from freehold.types.route import Route, Target
from freehold.types.trace import Trace
from freehold.workflows.project import open_project
from freehold.workflows.shift.rollout import rollout

SECRET = "words of a customer"
ROUTE = "support <b>intents</b>"


def trace(number, at, **changes):
    given = {
        "id": f"trace-{number:05d}",
        "at": at,
        "source": "gateway",
        "model": "gpt-4o",
        "request": {"model": "gpt-4o", "messages": [{"role": "user", "content": SECRET}]},
        "response": {
            "choices": [{"message": {"role": "assistant", "content": SECRET}, "finish_reason": "stop"}]
        },
        "route": ROUTE,
        "arm": "incumbent",
        "assignment_key": f"user-{number}",
        "total_ms": 100.0 + number,
    }
    return Trace(**given | changes)


def until(page, script, *, arg=None, timeout_s=30.0):
    """Ask the page until it says yes. `wait_for_function` of Playwright evaluates within the page when it asks again,
    which the console's content policy forbids."""
    deadline = time.monotonic() + timeout_s
    while not page.evaluate(script, arg):
        assert time.monotonic() < deadline, f"not so within {timeout_s} s: {script}"
        page.wait_for_timeout(50)


@pytest.fixture
def empty_project(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return open_project(None)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "support"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "http://127.0.0.1:1"\n'
    )
    project = open_project(None)
    now = datetime.now(UTC)
    route = Route(
        name=ROUTE,
        model="gpt-4o",
        incumbent=Target(endpoint="incumbent"),
        candidate=Target(endpoint="local", model="base:support"),
    )
    with open_store(project.store_url) as store:
        rollout.start(
            store,
            route,
            RolloutTerms(
                task=Task(name="support", scorer="exact", margin=0.1),
                stages=(0.1, 0.5),
                shadow_share=0.5,
                max_p95_ms=None,
            ),
            who="ada",
            at=now - timedelta(hours=1),
        )
        draw = random.Random(0)
        traces = []
        for number in range(60):
            at = now - timedelta(seconds=600 - 10 * number)
            traces.append(trace(number, at, status=500 if number == 7 else 200))
            if draw.random() < 0.5:
                traces.append(
                    trace(1000 + number, at, parent_id=f"trace-{number:05d}", arm="candidate", total_ms=50.0)
                )
        store.add_traces(traces)
    (project.state / "reports").mkdir(parents=True)
    (project.state / "reports" / "report-1.html").write_text("<h1>the report</h1>")
    (project.state / "secret.html").write_text("not a report")
    return project


@contextmanager
def serving_console(project, visitor=None):
    """A console that runs, until the end of the block: its address and its token."""
    ready, found = threading.Event(), {}

    def told(url):
        found["url"] = url
        ready.set()

    async def main():
        found["loop"], found["stop"] = asyncio.get_running_loop(), asyncio.Event()
        await app.run(
            project,
            host="127.0.0.1",
            port=0,
            token="the-token",
            visitor=visitor or Visitor("ada (console)", "operate", content=True),
            ready=told,
            stop=found["stop"],
        )

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(20)
    try:
        yield found["url"], "the-token"
    finally:
        found["loop"].call_soon_threadsafe(found["stop"].set)
        thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def served(project):
    """The address of a running console, and its token."""
    with serving_console(project) as address:
        yield address


class Caller:
    """A browser in a few lines: token, origin and host as one wants them."""

    def __init__(self, served):
        url, self.token = served
        self.host = urllib.parse.urlsplit(url).netloc

    def __call__(self, method, path, *, token=True, origin=True, host=None, body=None):
        connection = http.client.HTTPConnection(self.host, timeout=20)
        headers = {"Host": host or self.host}
        if token:
            headers["Authorization"] = f"Bearer {self.token if token is True else token}"
        if origin:
            headers["Origin"] = f"http://{self.host}"
        connection.request(method, path, body=body, headers=headers)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply, text


@pytest.fixture
def call(served):
    return Caller(served)
