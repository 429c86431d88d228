import asyncio
import dataclasses
from collections import Counter
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from tests.engines.conftest import serving
from tests.signing.vendors import Azure
from tests.workflows.prove.held_out import make_dataset

from freehold.deferring.signals import ASK_FOR_LOGPROBS
from freehold.evals.frozen import read_frozen
from freehold.store import open_store
from freehold.types.dataset import Message, RecordedAsking, Sample
from freehold.types.endpoint import Endpoint
from freehold.types.evaluated import Freeze
from freehold.workflows.project import open_project
from freehold.workflows.prove.evaluate import ServedCandidate, evaluate_project
from freehold.workflows.prove.freeze import freeze
from freehold.workflows.prove.results import frozen_file
from freehold.workflows.prove.task import task_of


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "t"\n[task]\nscorer = "label"\nmargin = 0.05\n[incumbent]\nmodel = "gpt-4o-2024-08-06"\n'
    )
    opened = open_project()
    samples = [
        Sample(
            id=f"s{i:03}",
            messages=(Message(role="user", content=f"q {i}"),),
            asking=RecordedAsking(temperature=0.7, stop=["x"], seed=3) if i == 0 else None,
        )
        for i in range(40)
    ]
    dataset = make_dataset(tmp_path, samples, incumbent_model="gpt-4o-2024-08-06")
    with open_store(opened.store_url) as store:
        store.put(dataset)
    return opened


def at(project, url):
    """The project with its incumbent at this address."""
    incumbent = msgspec.structs.replace(project.config.incumbent, base_url=url)
    config = msgspec.structs.replace(project.config, incumbent=incumbent)
    return dataclasses.replace(project, config=config)


def with_endpoint(reply, work):
    """Run `work(url)` against a loopback endpoint; returns what it gives and the requests seen."""
    seen = []

    async def handle(request):
        body = await request.json()
        seen.append(body)
        said = reply(body, len(seen))
        usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0}
        choices = [{"message": {"content": said}, "finish_reason": "stop"}]
        return web.json_response({"choices": choices, "usage": usage})

    async def go():
        async with serving(handle) as url:
            return await work(url)

    return asyncio.run(go()), seen


def test_answers_are_recorded_with_repeats_and_noise(project):
    asked = Counter()

    def reply(body, number):
        question = body["messages"][-1]["content"]
        asked[question] += 1
        return "yes" if asked[question] < 3 or question != "q 5" else "no"

    made, seen = with_endpoint(reply, lambda url: freeze(at(project, url), repeats=3))
    assert (made.samples, made.answered, made.failed, made.repeats) == (40, 120, 0, 3)
    assert made.model == "gpt-4o-2024-08-06"
    assert len(seen) == 120
    assert made.self_noise == pytest.approx(1 / 40)
    answers = read_frozen(frozen_file(project, made.dataset_id))
    assert answers["s005"] == ("yes", "yes", "no")
    with open_store(project.store_url) as store:
        assert store.latest(Freeze) == made
    assert made.cost_usd == Decimal("300")  # 120 requests of a million tokens at $2.50
    assert made.retires.isoformat() == "2027-01-14"
    assert made.days_left == (made.retires - made.at.date()).days


def test_an_incumbent_with_credentials_of_a_cloud_is_asked_with_them(project, upstream, monkeypatch):
    cloud = Azure(upstream)
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID"):
        monkeypatch.delenv(name, raising=False)
    file = Path("freehold.toml")
    file.write_text(file.read_text() + f'base_url = "{cloud.url}"\ncredentials = "azure"\n')
    configured = open_project()
    made = asyncio.run(freeze(configured))
    assert (made.answered, made.failed, cloud.number) == (40, 0, 1), cloud.refused


def test_the_applications_own_parameters_are_asked_with(project):
    _, seen = with_endpoint(lambda body, number: "yes", lambda url: freeze(at(project, url)))
    own = next(body for body in seen if body["messages"][-1]["content"] == "q 0")
    assert (own["temperature"], own["stop"]) == (0.7, ["x"])
    assert (own["seed"], own["max_tokens"]) == (3, 64)


def test_both_sides_are_asked_alike(project):
    """What the incumbent was asked with, field by field, is what the candidate is asked with."""

    async def work(url):
        await freeze(at(project, url))
        candidate = ServedCandidate(Endpoint(name=url, engine="remote", base_url=url), "cand")
        return await evaluate_project(project, candidate, task_of(project), anyway=True)

    made, seen = with_endpoint(lambda body, number: "yes", work)
    by_model = {
        model: {
            body["messages"][-1]["content"]: {
                k: v for k, v in body.items() if k not in ("model", *ASK_FOR_LOGPROBS)
            }
            for body in seen
            if body["model"] == model
        }
        for model in ("gpt-4o-2024-08-06", "cand")
    }
    assert len(by_model["cand"]) == 40
    # The candidate is asked for log-probabilities as well, which change no answer.
    assert by_model["cand"] == by_model["gpt-4o-2024-08-06"]
    assert any("seed (1), stop (1), temperature (1)" in note for note in made.comparison.notes)


def test_evaluations_use_frozen_answers(project):
    async def work(url):
        await freeze(at(project, url), repeats=2)
        candidate = ServedCandidate(Endpoint(name=url, engine="remote", base_url=url), "cand")
        return await evaluate_project(project, candidate, task_of(project), anyway=True)

    made, _ = with_endpoint(lambda body, number: "yes", work)
    assert made.comparison.incumbent_mean == 1.0
    assert made.comparison.n == 40
    assert made.references == "incumbent"
    assert made.incumbent_cost_usd == Decimal("100")
