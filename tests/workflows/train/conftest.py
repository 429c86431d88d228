"""A project that owns an adapter, and its base as a GGUF."""

import shutil

import msgspec
import pytest
from tests.training.conftest import make_model, make_tokenizer, task_samples, weights_at, write_dataset
from tests.training.output.merging import adapter_on, gguf_of

from freehold.store import open_store
from freehold.training.artefacts import sha256_of
from freehold.types.config import FinetuneConfig
from freehold.types.training import Adapter
from freehold.workflows.project import open_project

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tiny base as safetensors and as GGUF, and an adapter of it."""
    folder = tmp_path_factory.mktemp("made")
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    weights = weights_at(folder / "base", model, tokenizer)
    gguf_of(model, folder / "base.gguf")
    adapter_on(weights, folder / "adapter")
    return folder, weights


@pytest.fixture
def ready(tmp_path, made, monkeypatch):
    """A project that owns the adapter; the base it was trained on is the GGUF."""
    source, weights = made
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "inbox"\n[incumbent]\nmodel = "gpt-4o-2024-08-06"\n'
    )
    monkeypatch.chdir(tmp_path)
    project = open_project()
    dataset = write_dataset(tmp_path / "data", task_samples(24))
    dataset = msgspec.structs.replace(
        dataset, targets_from={"gold": 20, "incumbent": 4}, incumbent_model="gpt-4o-2024-08-06"
    )
    folder = project.state / "adapters" / "inbox-1a2b3c4d"
    shutil.copytree(source / "adapter", folder)
    names = [path.name for path in folder.iterdir() if path.name != "README.md"]
    adapter = Adapter(
        id="abcdef0123456789", name="inbox", path=str(folder), base_model="test/tiny", base_sha256=weights.sha256,
        dataset_id=dataset.id, config=FinetuneConfig(r=4), template_sha256="t" * 64, seed=0, steps=12,
        train_tokens=3456, train_seconds=7.0, final_loss=0.25, peak_memory_bytes=None,
        files={name: sha256_of(folder / name) for name in names}, versions={"torch": "2"}, made_from=(),
    )  # fmt: skip
    (folder / "adapter.json").write_bytes(msgspec.json.encode(adapter))
    with open_store(project.store_url) as store:
        store.put(dataset)
    gguf = msgspec.structs.replace(weights, format="gguf", path=str(source / "base.gguf"))
    return project, adapter, weights, gguf


@pytest.fixture
def trained_on(monkeypatch):
    """Lets these weights be the ones that are here by the base's name."""

    def use(weights):
        monkeypatch.setattr("freehold.workflows.train.export.ensure_weights", lambda *_, **__: weights)

    return use
