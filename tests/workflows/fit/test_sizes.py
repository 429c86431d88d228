"""What a model's size is read from: files of all kinds, adapters, Ollama's store."""

import json
import struct

import gguf
import msgspec
import numpy as np
import pytest

from benchmarks import tiny_models
from freehold.catalog import accelerators, models
from freehold.errors import InputError, WeightsError
from freehold.hardware.fit import device_room
from freehold.hardware.memory import ServingLoad
from freehold.hardware.vllm_memory import (
    Layout,
    batch_tokens,
    copied_bytes,
    kv_bytes,
    kv_copies_bytes,
    vllm_parts,
    weights_bytes,
)
from freehold.settings import load
from freehold.types.machine import Workload
from freehold.workflows.fit.fit import ServingOptions, fit_model
from freehold.workflows.fit.machine import find_machine
from freehold.workflows.fit.sizes import adapter_bytes, as_served, release_in, size_model

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


GIB = 1 << 30


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return load({"FREEHOLD_HOME": str(tmp_path_factory.mktemp("home"))})


def fitted(model, machine, settings, *, context=4096, **options):
    return fit_model(
        model,
        workload=Workload(context_tokens=context),
        machine=find_machine(machine, settings),
        settings=settings,
        options=ServingOptions(engine="vllm", **options),
    )


PUBLISHED = [
    # model, published minimum, form, context, what does not hold it, source (vllm-project/recipes, read 2026-11-27)
    ("openai/gpt-oss-20b", "RTX 4080", "MXFP4", 8192, None,
     'models/openai/gpt-oss-20b.yaml @0cc59121: "fits in 16GB VRAM on a single consumer or datacenter GPU"'),
    ("openai/gpt-oss-120b", "A100 80GB", "MXFP4", 131_072, "L40S",
     'models/openai/gpt-oss-120b.yaml @00a8aa9a: "fits on 1xA100 80GB"; "NVIDIA H100/H200/B200 (or A100 80GB)"'),
    ("deepseek-ai/DeepSeek-V3", "8x H200", "FP8", 131_072, "8x H100",
     'models/deepseek-ai/DeepSeek-V3.yaml @03927c93: "Native FP8 weights on 8xH200"'),
    ("deepseek-ai/DeepSeek-R1", "8x MI300X", "FP8", 131_072, "2x MI300X",
     'models/deepseek-ai/DeepSeek-R1.yaml @02f0a7c4: "Hardware (FP8): 8x H200 (CUDA) or 8x MI300X"'),
    ("deepseek-ai/DeepSeek-V3.2", "8x H200", "FP8", 131_072, "4x H200",
     "models/deepseek-ai/DeepSeek-V3.2.yaml @00a8aa9a: native FP8, 805 GB; its benchmark ran on 8 x H20 of 141 GB"),
    ("moonshotai/Kimi-K2-Instruct", "16x H800", "FP8", 131_072, "8x H200",
     'models/moonshotai/Kimi-K2-Instruct.yaml @2dc51136: "16xH800 / 16xH200 (smallest deployment for 128k seqlen)"'),
    ("moonshotai/Kimi-K2.5", "8x H200", "INT4", 262_144, "4x H200",
     'models/moonshotai/Kimi-K2.5.yaml @007c8912: "~595 GB on disk; fits 8×H200"'),
    ("zai-org/GLM-5-FP8", "8x H200", "FP8", 131_072, "8x H100",
     'models/zai-org/GLM-5.yaml @03927c93: "Native FP8 checkpoint — 8xH200/H20 (141GB x 8)"'),
    ("Qwen/Qwen3-235B-A22B-FP8", "2x MI300X", "FP8", 32_768, "1x MI300X",
     "models/Qwen/Qwen3-235B-A22B-Instruct-2507.yaml @109af2d3: FP8 on 4 GPUs, tensor parallel 4, 32,768 tokens"),
    ("Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8", "8x H200", "FP8", 131_072, "4x H100",
     "models/Qwen/Qwen3-Coder-480B-A35B-Instruct.yaml @223c6c08: FP8 on 8xH200/H20, 131,072 tokens"),
    ("Qwen/Qwen3.5-397B-A17B-FP8", "8x H200", "FP8", 262_144, "4x H100",
     "models/Qwen/Qwen3.5-397B-A17B.yaml @015a26cb: the official FP8 checkpoint, verified on 8x H200"),
]  # fmt: skip
"""Models whose makers publish them quantized, with the smallest machine that is published for them."""


@pytest.mark.parametrize(
    ("model", "machine", "form", "context", "too_small", "source"),
    PUBLISHED,
    ids=lambda value: str(value)[:24],
)
def test_natively_quantized_models_fit_their_published_minimum(
    settings, model, machine, form, context, too_small, source
):
    found = fitted(model, machine, settings, context=context)
    assert found.fits, (found.reasons, source)
    assert found.quantization == form
    assert any(reason.startswith(f"published in {form}") for reason in found.reasons)
    if too_small is not None:
        assert not fitted(model, too_small, settings, context=context).fits


SIZES = [
    ("openai/gpt-oss-120b", 61 * GIB / 1e9, "GitLab's documentation of self-hosted models: about 61 (GiB)"),
    ("moonshotai/Kimi-K2.5", 595, "vllm-project/recipes models/moonshotai/Kimi-K2.5.yaml: ~595 GB on disk"),
]


@pytest.mark.parametrize(("model", "gb", "source"), SIZES)
def test_bytes_of_published_weights_are_those_on_disk(settings, model, gb, source):
    sized = as_served(size_model(model, settings=settings), model, None)
    assert sized.bytes / 1e9 == pytest.approx(gb, rel=0.01), source


def test_more_accelerators_are_as_many_as_divide(settings):
    found = fitted("Qwen/Qwen3-235B-A22B", "H100", settings)
    ways = " ".join(found.ways_out)
    assert "8 × H100 SXM 80GB hold it: --tensor-parallel-size 8" in ways
    assert "7 ×" not in ways and "5 ×" not in ways
    odd = fitted("Qwen/Qwen3-32B", "3x H100", settings)
    assert any(
        reason.startswith(
            "on 3 accelerators: --pipeline-parallel-size 3 (tensors are not split over 3: 64 heads"
        )
        for reason in odd.reasons
    )


def test_an_official_release_is_named_where_it_would_fit(settings):
    found = fitted("Qwen/Qwen3-32B", "L40S", settings)
    assert found.quantization == "BF16"
    assert any("freehold fit Qwen/Qwen3-32B-FP8 --engine vllm" in way for way in found.ways_out)
    assert release_in("Qwen/Qwen3-32B", "AWQ") == "Qwen/Qwen3-32B-AWQ"
    assert release_in("Qwen/Qwen3-32B", "GPTQ") is None


def test_a_latent_cache_lies_on_every_device_of_a_group():
    """vllm-project/recipes Kimi-K2-Thinking: 8 x H200, tensor parallel 8, cache of 715,072 tokens (with the share of
    0.9 of that time), and 5,721,088 where decode context parallel splits it."""
    shape = models.get("moonshotai/Kimi-K2.5").shape
    one = Workload(context_tokens=16)
    per_token = kv_bytes(shape, one) / 16
    copies = kv_copies_bytes(shape, one, "auto", Layout(8)) / 16
    assert copies == 7 * per_token
    device = accelerators.accelerator(accelerators.get("H200"))
    copied = copied_bytes(shape, "INT4", "BF16", Layout(8))
    held = ServingLoad("INT4", weights_bytes(shape, "INT4", "BF16"), "", "auto", copied_bytes=copied)
    parts = vllm_parts(shape, held, one, layout=Layout(8), batch_tokens=batch_tokens(device))
    free = 8 * device_room(device, 0.9) - sum(part.bytes for part in parts)
    assert free / (per_token + copies) == pytest.approx(715_072, rel=0.08)


def test_an_fp8_cache_is_half_and_named_as_a_way_out(settings):
    plain = fitted("Qwen/Qwen3-32B-FP8", "L40S", settings, context=40_960)
    half = fitted("Qwen/Qwen3-32B-FP8", "L40S", settings, context=40_960, kv_type="fp8")
    cache = {part.name: part.bytes for part in plain.parts}["kv_cache"]
    assert {part.name: part.bytes for part in half.parts}["kv_cache"] == cache / 2
    assert not plain.fits
    assert half.fits
    assert any("--kv-type fp8" in way for way in plain.ways_out)


def test_a_folder_is_served_in_the_form_its_config_names(settings, tmp_path):
    config = {
        "model_type": "qwen3", "num_hidden_layers": 2, "hidden_size": 1024, "num_attention_heads": 8,
        "num_key_value_heads": 4, "head_dim": 128, "intermediate_size": 2048, "vocab_size": 1000,
        "max_position_embeddings": 4096, "quantization_config": {"quant_method": "fp8"},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = fitted(str(tmp_path), "L4", settings)
    assert found.quantization == "FP8"
    plain = fitted(str(tmp_path), "L4", settings, quantization="BF16")
    assert {part.name: part.bytes for part in plain.parts}["weights"] > {
        part.name: part.bytes for part in found.parts
    }["weights"]


def test_ways_out_begin_with_a_smaller_form_where_there_is_one_and_name_whole_nodes(settings):
    def ways(model, machine):
        return fitted(model, machine, settings, context=16_384).ways_out

    first, *others = ways("meta-llama/Llama-3.1-70B-Instruct", "2x L40S")
    assert first.startswith("FP8 needs") and first.endswith("--quant FP8")
    assert others[-1].startswith("4 × L40S 48GB hold it: --tensor-parallel-size 4")
    in_four_bits = "8 × H200 SXM 141GB hold it: --tensor-parallel-size 8"
    assert ways("moonshotai/Kimi-K2.5", "4x H200") == (in_four_bits,), "it is not quantized again"
    *_, way = ways("moonshotai/Kimi-K2-Instruct", "8x H100")
    assert way == "16 × H100 SXM 80GB hold it: --tensor-parallel-size 8 --pipeline-parallel-size 2"
