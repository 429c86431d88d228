"""What a model's size is read from: files of all kinds, adapters, Ollama's store."""

import json
import struct

import gguf
import msgspec
import numpy as np
import pytest

from benchmarks import tiny_models
from freehold.errors import InputError, WeightsError
from freehold.types.machine import Workload
from freehold.workflows.fit.fit import ServingOptions, fit_model
from freehold.workflows.fit.machine import find_machine
from freehold.workflows.fit.sizes import adapter_bytes, size_model

CONFIG = {
    "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 500, "max_position_embeddings": 2048,
}  # fmt: skip


def safetensors(path, values: int = 100):
    header = json.dumps({"a": {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4 * values))
    return path


def test_a_gguf_is_known_by_its_first_bytes_not_its_name(tiny, tmp_path, settings):
    blob = tmp_path / "sha256-0123"
    blob.write_bytes(tiny.read_bytes())
    assert size_model(str(blob), settings=settings).bytes == size_model(str(tiny), settings=settings).bytes
    smaller = size_model(str(tiny), settings=settings, quantization="Q4_K_M")
    assert smaller.bytes < size_model(str(tiny), settings=settings).bytes


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ((), "without weights, a vocabulary only"),
        (("output_norm.weight",), "it holds 64 of the .* parameters that its own metadata describe"),
    ],
)
def test_a_gguf_without_its_weights_fits_nowhere(tmp_path, settings, tensors, says):
    writer = gguf.GGUFWriter(tmp_path / "part.gguf", "llama")
    writer.add_block_count(2)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    writer.add_feed_forward_length(128)
    writer.add_context_length(2048)
    writer.add_vocab_size(500)
    for name in tensors:
        writer.add_tensor(name, np.zeros(64, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(InputError, match=says):
        size_model(str(tmp_path / "part.gguf"), settings=settings)


def test_safetensors_alone_say_what_is_known_and_what_is_missing(tmp_path, settings):
    path = safetensors(tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="1 tensors, and no config") as caught:
        size_model(str(path), settings=settings)
    assert "config.json" in caught.value.hint
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert size_model(str(path), settings=settings).bytes == 400


@pytest.mark.parametrize("offsets", [[0, 1 << 60], [-4, 4], [8, 4]], ids=["outside", "negative", "backwards"])
def test_hostile_safetensors_are_refused(tmp_path, settings, offsets):
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": offsets}}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    with pytest.raises(InputError, match="outside the file"):
        size_model(str(path), settings=settings)


def store(tmp_path, tiny, *, blob=True, adapter=False):
    root = tmp_path / "ollama"
    manifest = root / "manifests" / "registry.ollama.ai" / "library" / "tiny" / "latest"
    manifest.parent.mkdir(parents=True)
    layers = [
        {
            "mediaType": "application/vnd.ollama.image.model",
            "digest": "sha256:ab",
            "size": tiny.stat().st_size,
        }
    ]
    if adapter:
        layers.append(
            {"mediaType": "application/vnd.ollama.image.adapter", "digest": "sha256:cd", "size": 5_000_000}
        )
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    (root / "blobs").mkdir()
    if blob:
        (root / "blobs" / "sha256-ab").write_bytes(tiny.read_bytes())
    return root, manifest


def test_an_ollama_manifest_and_its_name(tmp_path, tiny, settings, monkeypatch):
    root, manifest = store(tmp_path, tiny, adapter=True)
    monkeypatch.setenv("OLLAMA_MODELS", str(root))
    plain = size_model(str(tiny), settings=settings)
    assert size_model("ollama:tiny", settings=settings).bytes == plain.bytes
    named = size_model(str(manifest), settings=settings)
    assert named.bytes == plain.bytes
    assert named.adapters_bytes == 5_000_000
    with pytest.raises(WeightsError, match="has no model nothing"):
        size_model("ollama:nothing", settings=settings)


def test_adapters_are_counted_beside_the_base(tmp_path, tiny, settings):
    folder, empty = tmp_path / "adapter", tmp_path / "empty"
    folder.mkdir()
    empty.mkdir()
    safetensors(folder / "adapter_model.safetensors", 1000)
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": "some/base"})
    )
    assert adapter_bytes(folder) == 4000
    found = fit_model(
        str(tiny), workload=Workload(), settings=settings, options=ServingOptions(adapters=(folder, folder))
    )
    assert {part.name: part.bytes for part in found.parts}["adapters"] == 8000
    with pytest.raises(InputError, match="not a model") as caught:
        size_model(str(folder / "adapter_config.json"), settings=settings)
    assert "freehold fit some/base" in caught.value.hint
    with pytest.raises(InputError, match="no adapter_model"):
        adapter_bytes(empty)


def test_of_a_model_of_400_gb_only_headers_are_read(settings, tmp_path):
    """The tensors are holes in the files: whoever read them would read for minutes."""
    from freehold.catalog import models

    large = tmp_path / "large.gguf"
    shape = models.get("deepseek-ai/DeepSeek-V3").shape
    try:
        size = tiny_models.write_header(shape, "Q4_K_M", large)
    except OSError as error:
        pytest.skip(f"no sparse files here: {error}")
    assert size > 400e9
    assert large.stat().st_blocks * 512 < 10e6
    machine = find_machine("8x H100 SXM", settings)
    found = fit_model(str(large), workload=Workload(), settings=settings, machine=machine)
    assert {part.name: part.bytes for part in found.parts}["weights"] == pytest.approx(size, rel=0.001)
    large.unlink()

    folder = tmp_path / "safetensors"
    folder.mkdir()
    config = {
        "model_type": "llama", "num_hidden_layers": 126, "hidden_size": 16384, "num_attention_heads": 128,
        "num_key_value_heads": 8, "intermediate_size": 53248, "vocab_size": 128256, "max_position_embeddings": 131072,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    total = 400 << 30
    header = json.dumps({"w": {"dtype": "BF16", "shape": [total // 2], "data_offsets": [0, total]}}).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + total)
    held = fit_model(str(folder), workload=Workload(), settings=settings, machine=machine)
    assert {part.name: part.bytes for part in held.parts}["weights"] == total
    (folder / "model.safetensors").unlink()


def test_a_gguf_of_an_unknown_architecture_is_a_bound_and_says_so(settings, tmp_path, tiny):
    path = tmp_path / "new.gguf"
    tiny_models.write(
        msgspec.structs.replace(tiny_models.SHAPES["llama"], architecture="brandnew"), "Q8_0", path
    )
    found = fit_model(str(path), workload=Workload(), settings=settings)
    assert any("architecture brandnew is not known here" in reason for reason in found.reasons)
    assert not any(
        "not known" in reason
        for reason in fit_model(str(tiny), workload=Workload(), settings=settings).reasons
    )
