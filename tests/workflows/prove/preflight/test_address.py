import contextlib

import anyio
import pytest
from aiohttp import web
from tests.engines.conftest import serving

from freehold.workflows.prove.preflight.address import AskedEndpoint, address_findings


def find(answer=None, **fields):
    """What is found of an endpoint that answers so; None: nothing listens."""

    async def handle(request):
        return answer(request)

    async def work():
        nobody = contextlib.nullcontext("http://127.0.0.1:9")
        async with nobody if answer is None else serving(handle) as url:
            address = url if answer is None else f"{url}/v1"
            return await address_findings(AskedEndpoint("the judge", address, **fields), seconds=2)

    (found,) = anyio.run(work)
    return found


def models(*names):
    return lambda request: web.json_response({"data": [{"id": name} for name in names]})


def test_one_that_lists_the_model_is_ready_and_cost_nothing():
    found = find(models("grader", "other"), model="grader")
    assert found.outcome == "ok" and "cost nothing" in found.text


def test_one_that_lists_other_models_is_doubted():
    found = find(models("a", "b", "c", "d"), model="grader")
    assert found.outcome == "warn"
    assert "does not list the model grader; it lists a, b, c and 1 more" in found.text


def test_nobody_there_fails_unless_answers_are_kept():
    found = find()
    assert found.outcome == "fail" and "nothing answers at http://127.0.0.1:9" in found.text
    assert find(cached=True).outcome == "warn"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_fails(status, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "wrong")
    found = find(lambda request: web.Response(status=status), api_key_env="JUDGE_KEY")
    assert found.outcome == "fail" and found.fix == "check the key in JUDGE_KEY"


def test_a_key_that_is_not_set_fails_before_anything_is_asked(monkeypatch):
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    found = find(models("grader"), api_key_env="JUDGE_KEY")
    assert found.outcome == "fail" and "the environment has no JUDGE_KEY" in found.text
