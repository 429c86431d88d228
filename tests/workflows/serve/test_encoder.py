"""Encoders among what is served: by name, by folder, next to others, with their memory."""

import httpx
import msgspec
import pytest
from tests.engines.encoder.tiny import tiny_encoder
from tests.workflows.serve.holding import hold_while
from tests.workflows.train.owned import owned_encoder

from freehold.encoders.folder import read_manifest, sha256_of_folder
from freehold.errors import UsageError
from freehold.types.endpoint import ServePlan
from freehold.workflows.project import open_project
from freehold.workflows.serve import plan
from freehold.workflows.serve.plan import ServeRequest, plans


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "shop"\n[serve]\ncontext_tokens = 512\noptions = { micro_batch = 64 }\n'
    )
    monkeypatch.chdir(tmp_path)
    return open_project()


def test_an_encoder_is_served_by_its_name(project):
    encoder = owned_encoder(project)
    (made,) = plans(project, ["support"])
    folder = project.state / "encoders" / "support-1a2b3c40"
    assert (made.engine, made.model, made.weights_path) == ("encoder", "support", str(folder))
    assert made.context_tokens == 512 and made.options == {}, "options of llama.cpp are not its own"
    assert made.weights_sha256 == sha256_of_folder(folder, read_manifest(folder))
    assert encoder.path == made.weights_path


def test_a_folder_is_served_under_its_own_name(project):
    tiny_encoder(project.root / "given")
    for name in ("given", "./given", "file:given", str(project.root / "given")):
        (made,) = plans(project, [name])
        assert (made.engine, made.model) == ("encoder", "given")


def test_what_it_takes_is_known_before_it_starts(project):
    folder = tiny_encoder(project.root / "given")
    (made,) = plans(project, [str(folder)])
    assert made.memory is not None and made.memory.engine == "encoder"
    assert {part.name for part in made.memory.parts} == {"weights", "tokenizer", "compute", "process"}
    assert 100 << 20 < made.memory_bytes < 200 << 20


def test_adapters_and_other_weights_are_refused(project):
    owned_encoder(project)
    adapter = project.root / "adapter"
    adapter.mkdir()
    with pytest.raises(UsageError, match="takes no adapters"):
        plans(project, ["support"], adapters=[f"a={adapter}"])
    weights = msgspec.convert(
        {
            "model_id": "org/m",
            "format": "gguf",
            "quantization": "Q8_0",
            "bytes": 1,
            "sha256": "a",
            "source": "file:m",
        },
        plan.Weights,
    )
    with pytest.raises(UsageError, match="org/m is not a trained encoder"):
        plan.plan(weights, ServeRequest(engine="encoder"), project.settings)


def test_two_of_one_name_are_asked_for_by_id(project):
    first, _ = owned_encoder(project), owned_encoder(project)
    with pytest.raises(UsageError, match="2 encoders are called support"):
        plans(project, ["support"])
    assert plans(project, [first.id])[0].weights_path == first.path


TEXT = "where is my order now"


@pytest.mark.process
@pytest.mark.timeout(120)
def test_it_is_one_of_several_models(tmp_path):
    folder = tiny_encoder(tmp_path / "encoder")
    plans = [
        ServePlan(engine="encoder", model="support", weights_path=str(folder), threads=1),
        ServePlan(engine="echo", model="echo", options={"in_process": True}),
    ]

    def use(served):
        for name, answer in (("support", "track"), ("echo", TEXT)):
            body = {"model": name, "messages": [{"role": "user", "content": TEXT}]}
            reply = httpx.post(f"{served.url}/v1/chat/completions", json=body, timeout=60).json()
            assert reply["choices"][0]["message"]["content"] == answer

    hold_while(use, plans, tmp_path / "logs")
