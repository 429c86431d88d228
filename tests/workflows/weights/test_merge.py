"""Weights that are made here: merged, converted, quantized. What a merge computes is in
tests/training/output/test_merge.py."""

import hashlib
import json
import struct
from pathlib import Path

import msgspec
import pytest
from tests.workflows.weights.programs import quantize_program

from benchmarks import tiny_models
from freehold.engines.weights import local
from freehold.engines.weights.conversion import source_of
from freehold.engines.weights.store import WeightsStore
from freehold.errors import EngineError, InputError, UnknownModelError, UsageError, WeightsError
from freehold.settings import load
from freehold.types.config import AppConfig, ProjectConfig
from freehold.types.endpoint import AdapterMount
from freehold.types.model import Weights
from freehold.workflows.project import Project
from freehold.workflows.serve import plan
from freehold.workflows.weights import convert as workflow
from freehold.workflows.weights import merge as merging
from freehold.workflows.weights.merge import merged, must_merge
from freehold.workflows.weights.pull import list_weights
from freehold.workflows.weights.quantize import make, widest


def gguf(name):
    """The bytes of a GGUF that is only a header."""

    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    pairs = text("general.name") + struct.pack("<I", 8) + text(name)
    pairs += text("general.file_type") + struct.pack("<II", 4, 7)
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + pairs + bytes(1000)


@pytest.fixture
def settings_of_merge(tmp_path):
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


def test_it_is_merged_once_and_kept_in_the_store(base, adapter, settings_of_merge, merges, tmp_path):
    mount = adapter(use_dora=True)
    found = merged(base, mount, settings_of_merge, engine="llamacpp")
    assert (found.model_id, found.format, found.chat_template) == (mount.name, "gguf", "{{ messages }}")
    assert found.sha256 == hashlib.sha256(gguf("merged 1")).hexdigest()
    assert merged(base, mount, settings_of_merge, engine="llamacpp") == found
    (job,) = merges
    assert (job.weights, job.adapter_path, job.quantization) == (base, mount.path, "Q8_0")
    (tmp_path / "dora" / "adapter_model.safetensors").write_bytes(b"trained again")
    again = merged(base, mount, settings_of_merge, engine="llamacpp")
    assert again.sha256 != found.sha256 and len(merges) == 2
    assert [one.weights for one in list_weights(settings_of_merge)] == [again], (
        "the earlier state is not kept"
    )
    assert len(list((settings_of_merge.home / "weights").rglob("*.gguf"))) == 1


def test_another_base_is_refused_with_both_hashes(base, adapter, settings_of_merge, merges):
    mount = msgspec.structs.replace(adapter(use_dora=True), base_sha256="e" * 64)
    with pytest.raises(EngineError) as caught:
        merged(base, mount, settings_of_merge, engine="llamacpp")
    assert "e" * 64 in caught.value.message and base.sha256 in caught.value.message
    assert not merges


def test_llama_cpp_needs_a_gguf_base(base, adapter, settings_of_merge, merges):
    tensors = msgspec.structs.replace(base, format="safetensors")
    with pytest.raises(EngineError, match="reads GGUF"):
        merged(tensors, adapter(use_dora=True), settings_of_merge, engine="llamacpp")


def test_a_merge_that_fails_leaves_nothing(base, adapter, settings_of_merge, monkeypatch):
    def fail(job):
        Path(job.target).write_bytes(b"half")
        raise RuntimeError("no")

    monkeypatch.setattr(merging, "merge", fail)
    with pytest.raises(RuntimeError):
        merged(base, adapter(use_dora=True), settings_of_merge, engine="llamacpp")
    assert [
        path for path in settings_of_merge.home.rglob("*") if path.is_file() and path.name != ".lock"
    ] == []


def test_it_is_served_beside_its_base_under_the_adapters_name(
    base, adapter, settings_of_merge, merges, tmp_path
):
    project = Project(tmp_path, ProjectConfig(app=AppConfig(name="a")), settings_of_merge, None)
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
    assert plans[1].weights_path == list_weights(settings_of_merge)[-1].weights.path != base.path
    with pytest.raises(UsageError, match="a model of its own, without other"):
        request = plan.ServeRequest(engine="llamacpp")
        plan.pull_and_plan(base.path, request, settings_of_merge, adapters=[plain, dora])


@pytest.fixture
def gguf_of_convert(tmp_path, tiny_gguf):
    path = tmp_path / "m.gguf"
    path.write_bytes(tiny_gguf(file_type=7))
    return local.describe(path, "org/m", f"file:{path}")


@pytest.fixture
def conversions(monkeypatch, tiny_safetensors):
    """The conversions that were made; each writes a tiny folder."""
    made = []

    def convert(job):
        made.append(job)
        Path(job.target).mkdir(parents=True)
        (Path(job.target) / "model.safetensors").write_bytes(tiny_safetensors())
        (Path(job.target) / "config.json").write_text("{}")

    monkeypatch.setattr(workflow, "convert", convert)
    return made


def test_it_is_converted_once_and_known_by_its_source(gguf_of_convert, settings, conversions):
    found = workflow.to_safetensors(gguf_of_convert, settings)
    assert (found.format, found.quantization, found.model_id) == ("safetensors", "BF16", "org/m")
    assert workflow.to_safetensors(gguf_of_convert, settings) == found
    assert len(conversions) == 1 and conversions[0].source == gguf_of_convert.path
    (stored,) = list_weights(settings)
    assert stored.owned and stored.converted_from == gguf_of_convert.sha256
    assert f"Q8_0 weights with sha256 {gguf_of_convert.sha256}" in stored.origin
    assert source_of(found.path) == gguf_of_convert.sha256


def test_safetensors_stay_as_they_are_and_weights_elsewhere_are_not_converted(
    gguf_of_convert, settings, conversions
):
    already = msgspec.structs.replace(gguf_of_convert, format="safetensors")
    assert workflow.to_safetensors(already, settings) is already
    with pytest.raises(UsageError, match="are not here") as caught:
        workflow.to_safetensors(msgspec.structs.replace(gguf_of_convert, path=None), settings)
    assert caught.value.hint == "freehold pull org/m"
    assert conversions == []


def test_a_conversion_that_fails_leaves_nothing(gguf_of_convert, settings, monkeypatch):
    def convert(job):
        Path(job.target).mkdir(parents=True)
        raise WeightsError("cannot be converted")

    monkeypatch.setattr(workflow, "convert", convert)
    with pytest.raises(WeightsError):
        workflow.to_safetensors(gguf_of_convert, settings)
    assert list_weights(settings) == []
    assert not list((settings.home / "weights").rglob("safetensors-*"))


@pytest.fixture
def program(settings, tmp_path):
    return quantize_program(tmp_path, settings.home, fails="broken")


@pytest.mark.process
def test_a_smaller_one_is_made_here_and_kept_in_the_store(settings, program, tmp_path):
    path = tmp_path / "tiny.gguf"
    tiny_models.write(tiny_models.SHAPES["llama"], "F16", path)
    made = make(str(path), "q8_0", settings)
    assert made.quantization == "Q8_0"
    assert Path(made.path).parent == WeightsStore(settings.home).folder("tiny")
    store = WeightsStore(settings.home)
    stored = store.find("tiny", "Q8_0")
    assert stored.weights.source.startswith("made:Q8_0 from ")
    assert stored.origin.startswith("quantized here from F16")
    assert make("tiny", "Q8_0", settings).sha256 == made.sha256  # it is there already
    with pytest.raises(UsageError, match="is not smaller"):
        make("tiny", "BF16", settings)
    with store.writing():
        pulled = local.describe(path, "tiny", f"file:{path}")
        store.record(pulled, owned=False)
    assert store.find("tiny").weights == pulled, "the bare name means what was pulled"
    assert widest("tiny", store) == pulled
    with pytest.raises(UnknownModelError, match="no GGUF of nobody"):
        make("nobody", "Q8_0", settings)


@pytest.mark.process
def test_a_program_that_fails_leaves_nothing(settings, program, tmp_path):
    path = tmp_path / "broken.gguf"
    tiny_models.write(tiny_models.SHAPES["llama"], "F16", path)
    with pytest.raises(EngineError, match="it ended with 3: cannot read it"):
        make(str(path), "Q8_0", settings)
    assert WeightsStore(settings.home).list() == []


@pytest.mark.process
def test_without_the_program_it_says_how_to_get_it(settings, tmp_path):
    path = tmp_path / "tiny.gguf"
    tiny_models.write(tiny_models.SHAPES["llama"], "F16", path)
    with pytest.raises(EngineError, match="not built here") as caught:
        make(str(path), "Q8_0", settings)
    assert "engines install llamacpp" in caught.value.hint
