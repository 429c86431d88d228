"""An engine in a real process that dies on a prompt, asked through a gateway and through the address of several."""

import json
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime

import msgspec
import pytest
from tests.workflows.serve.holding import hold_while

from freehold.engines import keys
from freehold.gateway.config import GatewayConfig
from freehold.gateway.serve import free_port
from freehold.store import open_store
from freehold.types.endpoint import Endpoint, ServedModel, ServePlan
from freehold.types.route import Route, Target
from freehold.workflows.serve import served

FATAL, HARMLESS = "please die", "hello"


def fragile(model="fragile", **options):
    return ServePlan(engine="echo", model=model, parallel=8, options={"crash_on": FATAL, **options})


def ask(url, text, model="fragile", path="/v1/chat/completions"):
    body = {"model": model, "max_tokens": 50, "messages": [{"role": "user", "content": text}]}
    headers = {"content-type": "application/json", **keys.bearer(keys.RUN_KEY_ENV)}
    asked = urllib.request.Request(f"{url}{path}", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(asked, timeout=60) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def until_answered(url, text, model="fragile", **more):
    deadline = time.monotonic() + 60
    while (answer := ask(url, text, model, **more))[0] in (502, 503):
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)
    return answer


def metric(url, name):
    with urllib.request.urlopen(f"{url}/metrics") as reply:
        lines = reply.read().decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def restarts(project):
    return [one.restarts for one in served.status(project)[1]]


def config(**fields):
    return GatewayConfig(endpoints=(), host="127.0.0.1", port=free_port(), **fields)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_request_is_not_sent_to_an_engine_that_died_on_it_twice(empty_project, workers):
    def use(at):
        assert until_answered(at.url, FATAL)[0] == 422
        assert until_answered(at.url, HARMLESS)[0] == 200
        assert restarts(empty_project) == [2]
        for _ in range(20):
            status, said = ask(at.url, FATAL)
            assert (status, said["error"].get("code")) == (422, "request_ends_engine"), said
        assert until_answered(at.url, HARMLESS)[0] == 200
        status, said = until_answered(at.url, FATAL, path="/v1/messages")
        assert (status, said["type"], said["error"]["type"]) == (422, "error", "invalid_request_error"), said
        assert until_answered(at.url, HARMLESS)[0] == 200
        assert restarts(empty_project) == [4], "another request, which says the same in other fields"

    hold_while(use, [fragile()], empty_project.state / "engines", config(workers=workers))


def test_it_is_counted_and_the_incumbent_answers_where_there_is_one(empty_project):
    incumbent = ServePlan(engine="echo", model="safe", options={"in_process": True})
    route = Route(
        name="r",
        model="asked",
        state="promoted",
        incumbent=Target(endpoint="rented", model="safe"),
        candidate=Target(endpoint="local", model="fragile"),
    )

    def use_rented(rented):
        there = Endpoint(
            name="rented",
            engine="remote",
            base_url=rented.url,
            models=(ServedModel(name="safe", upstream_name="safe"),),
        )

        def use(at):
            for _ in range(30):
                status, said = ask(at.url, FATAL, "asked")
                assert status == 200 and said["choices"][0]["message"]["content"] == FATAL
                until_answered(at.url, HARMLESS)
            assert restarts(empty_project) == [2]
            deadline = time.monotonic() + 10
            while not metric(at.url, 'freehold_fallbacks_total{route="r",why="request_ends_engine"}') >= 28:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            assert metric(at.url, 'freehold_engine_deaths_total{endpoint="local"}') == 2

        url = f"sqlite:///{empty_project.state / 'freehold.sqlite3'}"
        with open_store(url) as store:
            store.save_route(route, who="test", at=datetime.now(UTC))
        started = config(store_url=url)
        started = msgspec.structs.replace(started, endpoints=(there,))
        hold_while(use, [fragile()], empty_project.state / "engines", started)

    hold_while(use_rented, [incumbent], empty_project.state / "rented")


def test_others_that_were_under_way_are_answered(empty_project):
    def use(at):
        got = {}

        def others(number):
            got[number] = until_answered(at.url, f"{HARMLESS} {number}")[0]

        for _ in range(2):
            threads = [threading.Thread(target=others, args=(number,)) for number in range(6)]
            for thread in threads:
                thread.start()
            ask(at.url, FATAL)
            for thread in threads:
                thread.join()
        assert until_answered(at.url, FATAL)[0] == 422
        assert got == dict.fromkeys(range(6), 200)

    hold_while(use, [fragile(delay_ms=200)], empty_project.state / "engines", config())


def test_the_address_of_several_engines_does_the_same(empty_project):
    def use(at):
        status, said = ask(at.url, FATAL)
        assert (status, said["error"]["code"]) == (422, "request_ends_engine"), (
            "it is tried again once, after a restart"
        )
        assert restarts(empty_project) == [2, 0]
        assert [ask(at.url, FATAL)[0] for _ in range(5)] == [422] * 5
        assert restarts(empty_project) == [2, 0]
        assert ask(at.url, HARMLESS)[0] == ask(at.url, HARMLESS, "other")[0] == 200

    other = ServePlan(engine="echo", model="other", options={"in_process": True})
    hold_while(use, [fragile(), other], empty_project.state / "engines", config())
