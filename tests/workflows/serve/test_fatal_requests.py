"""An engine in a real process that dies on a prompt, asked through the address of several."""

import json
import urllib.error
import urllib.request

import pytest
from tests.workflows.serve.holding import hold_while

from freehold.engines import keys
from freehold.gateway.config import GatewayConfig
from freehold.gateway.serve import free_port
from freehold.types.endpoint import ServePlan
from freehold.workflows.serve import served

pytestmark = pytest.mark.process

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


def restarts(project):
    return [one.restarts for one in served.status(project)[1]]


def config(**fields):
    return GatewayConfig(endpoints=(), host="127.0.0.1", port=free_port(), **fields)


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
