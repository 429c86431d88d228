"""Adapters that are served as models of their own. tests/training/output/test_merge.py tests what a merge computes."""

import hashlib
import json
import struct
from pathlib import Path

import msgspec
import pytest

from freehold.errors import EngineError, InputError, UsageError
from freehold.settings import load
from freehold.types.config import AppConfig, ProjectConfig
from freehold.types.endpoint import AdapterMount
from freehold.types.model import Weights
from freehold.workflows.project import Project
from freehold.workflows.serve import plan
from freehold.workflows.weights import made as merging
from freehold.workflows.weights.made import merged, must_merge
from freehold.workflows.weights.pull import list_weights


def gguf(name):
    """The bytes of a GGUF that is only a header."""

    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    pairs = text("general.name") + struct.pack("<I", 8) + text(name)
    pairs += text("general.file_type") + struct.pack("<II", 4, 7)
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + pairs + bytes(1000)


@pytest.fixture
def settings(tmp_path):
    return load({"FREEHOLD_HOME": str(tmp_path / "home")})


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "base.gguf"
    path.write_bytes(gguf("base"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Weights(
        model_id="org/base", format="gguf", quantization="Q8_0", bytes=path.stat().st_size, sha256=digest,
        source="file:", path=str(path), chat_template="{{ messages }}",
    )  # fmt: skip


@pytest.fixture
def adapter(tmp_path):
    """A folder as PEFT writes it: ``adapter(name, use_dora=True)``."""

    def make(name="dora", **config):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 4, **config}))
        (folder / "adapter_model.safetensors").write_bytes(name.encode())
        return AdapterMount(name=f"org/base:{name}", path=str(folder))

    return make


@pytest.fixture
def merges(monkeypatch):
    """Each merge that was asked for; what it writes says how often there was one."""
    asked = []

    def merge(job):
        asked.append(job)
        Path(job.target).write_bytes(gguf(f"merged {len(asked)}"))

    monkeypatch.setattr(merging, "merge", merge)
    return asked


def test_only_dora_needs_it(adapter, tmp_path):
    assert must_merge(adapter("a", use_dora=True))
    assert not must_merge(adapter("b"))
    assert not must_merge(AdapterMount(name="x", path=str(tmp_path / "nothing.gguf")))
    broken = adapter("c")
    (tmp_path / "c" / "adapter_config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        must_merge(broken)


def test_it_is_merged_once_and_kept_in_the_store(base, adapter, settings, merges, tmp_path):
    mount = adapter(use_dora=True)
    found = merged(base, mount, settings, engine="llamacpp")
    assert (found.model_id, found.format, found.chat_template) == (mount.name, "gguf", "{{ messages }}")
    assert found.sha256 == hashlib.sha256(gguf("merged 1")).hexdigest()
    assert merged(base, mount, settings, engine="llamacpp") == found
    (job,) = merges
    assert (job.weights, job.adapter_path, job.quantization) == (base, mount.path, "Q8_0")
    (tmp_path / "dora" / "adapter_model.safetensors").write_bytes(b"trained again")
    again = merged(base, mount, settings, engine="llamacpp")
    assert again.sha256 != found.sha256 and len(merges) == 2
    assert [one.weights for one in list_weights(settings)] == [again], "the earlier state is not kept"
    assert len(list((settings.home / "weights").rglob("*.gguf"))) == 1


def test_another_base_is_refused_with_both_hashes(base, adapter, settings, merges):
    mount = msgspec.structs.replace(adapter(use_dora=True), base_sha256="e" * 64)
    with pytest.raises(EngineError) as caught:
        merged(base, mount, settings, engine="llamacpp")
    assert "e" * 64 in caught.value.message and base.sha256 in caught.value.message
    assert not merges


def test_llama_cpp_needs_a_gguf_base(base, adapter, settings, merges):
    tensors = msgspec.structs.replace(base, format="safetensors")
    with pytest.raises(EngineError, match="reads GGUF"):
        merged(tensors, adapter(use_dora=True), settings, engine="llamacpp")


def test_a_merge_that_fails_leaves_nothing(base, adapter, settings, monkeypatch):
    def fail(job):
        Path(job.target).write_bytes(b"half")
        raise RuntimeError("no")

    monkeypatch.setattr(merging, "merge", fail)
    with pytest.raises(RuntimeError):
        merged(base, adapter(use_dora=True), settings, engine="llamacpp")
    assert [path for path in settings.home.rglob("*") if path.is_file() and path.name != ".lock"] == []


def test_it_is_served_beside_its_base_under_the_adapters_name(base, adapter, settings, merges, tmp_path):
    project = Project(tmp_path, ProjectConfig(app=AppConfig(name="a")), settings, None)
    plain, dora = adapter("plain"), adapter("dora", use_dora=True)
    plans = plan.plans(
        project,
        [base.path],
        plan.ServeRequest(context_tokens=512),
        engine="llamacpp",
        adapters=[f"plain={plain.path}", f"dora={dora.path}"],
    )
    assert [one.model for one in plans] == [base.path, f"{base.path}:dora"]
    assert [[one.name for one in each.adapters] for each in plans] == [[f"{base.path}:plain"], []]
    assert plans[0].weights_path == base.path
    assert plans[1].weights_path == list_weights(settings)[-1].weights.path != base.path
    with pytest.raises(UsageError, match="a model of its own, without other"):
        request = plan.ServeRequest(engine="llamacpp")
        plan.pull_and_plan(base.path, request, settings, adapters=[plain, dora])
