"""What `freehold fit` can be given: files of all kinds, adapters, Ollama's store, a running server."""

import http.server
import json
import os
import struct
import threading

import gguf
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import tiny_models
from freehold.cli.main import cli
from freehold.engines.weights import local
from freehold.errors import InputError, UnknownModelError, UpstreamError, WeightsError
from freehold.settings import load
from freehold.types.machine import MeasuredSpeed, Speed, Workload
from freehold.workflows.fit.fit import fit_model
from freehold.workflows.fit.machine import find_machine
from freehold.workflows.fit.server import read
from freehold.workflows.fit.sizes import adapter_bytes, size_model

CONFIG = {
    "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 500, "max_position_embeddings": 2048,
}  # fmt: skip


@pytest.fixture
def settings(tmp_path):
    return load({"FREEHOLD_HOME": str(tmp_path / "home")})


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.gguf"
    tiny_models.write(tiny_models.SHAPES["llama"], "Q8_0", path)
    return path


def safetensors(path, values: int = 100):
    header = json.dumps({"a": {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4 * values))
    return path


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04 and so on", "a zip archive, as PyTorch writes"),
        (b"\x80\x04\x95rest", "a Python pickle"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"tjgg\x01\x00\x00\x00", "a GGML file of 2023"),
        (b"just words in a file\n", "a text file"),
        (bytes(range(256)), "of no kind that is known"),
        (b'{"hello": 1}', "neither config.json nor a safetensors index"),
        (b'{"hello": ', "looks like JSON and is not"),
    ],
)
def test_other_files_say_what_they_are(tmp_path, settings, data, says):
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    with pytest.raises(InputError, match=says):
        size_model(str(path), settings=settings)


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


def test_an_index_gives_the_bytes_of_all_its_files(tmp_path, settings):
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(
        json.dumps({"metadata": {"total_size": 400_000_000_000}, "weight_map": {"a": "x.safetensors"}})
    )
    with pytest.raises(InputError, match=r"372\.53 GiB in 1 tensors"):
        size_model(str(index), settings=settings)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert size_model(str(index), settings=settings).bytes == 400_000_000_000


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


def test_a_manifest_without_its_blob_says_so(tmp_path, tiny, settings):
    _, manifest = store(tmp_path, tiny, blob=False)
    with pytest.raises(InputError, match="is not in the store beside it"):
        size_model(str(manifest), settings=settings)


def test_adapters_are_counted_beside_the_base(tmp_path, tiny, settings):
    folder, empty = tmp_path / "adapter", tmp_path / "empty"
    folder.mkdir()
    empty.mkdir()
    safetensors(folder / "adapter_model.safetensors", 1000)
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": "some/base"})
    )
    assert adapter_bytes(folder) == 4000
    found = fit_model(str(tiny), workload=Workload(), settings=settings, adapters=(folder, folder))
    assert {part.name: part.bytes for part in found.parts}["adapters"] == 8000
    with pytest.raises(InputError, match="not a model") as caught:
        size_model(str(folder / "adapter_config.json"), settings=settings)
    assert "freehold fit some/base --adapter" in caught.value.hint
    with pytest.raises(InputError, match="no adapter_model"):
        adapter_bytes(empty)


def test_kept_prompts_are_counted_as_the_engine_bounds_them(tiny, settings):
    from freehold.engines.llamacpp.options import LlamaOptions

    found = fit_model(str(tiny), workload=Workload(), settings=settings)
    parts = {part.name: part.bytes for part in found.parts}
    assert parts["prompt_cache"] == LlamaOptions().prompt_cache_mib << 20
    without = fit_model(str(tiny), workload=Workload(), settings=settings, prompt_cache_bytes=0)
    assert "prompt_cache" not in {part.name for part in without.parts}


METRICS = """# HELP vllm:cache_config_info Information of the LLMEngine CacheConfig
# TYPE vllm:cache_config_info gauge
vllm:cache_config_info{block_size="16",cache_dtype="auto",gpu_memory_utilization="0.92",num_gpu_blocks="28781"} 1.0
vllm:num_requests_running{engine="0",model_name="m"} 0.0
"""
LISTED = {"data": [{"id": "assistant", "root": "meta-llama/Llama-3.1-8B-Instruct", "max_model_len": 131072}]}


@pytest.fixture
def server():
    class Vllm(http.server.BaseHTTPRequestHandler):
        listed, metrics = LISTED, METRICS

        def log_message(self, *_):
            return

        def do_GET(self):
            data = json.dumps(self.listed) if self.path == "/v1/models" else self.metrics
            self.send_response(200 if data else 404)
            self.send_header("Content-Length", str(len(data.encode())))
            self.end_headers()
            self.wfile.write(data.encode())

    playing = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vllm)
    thread = threading.Thread(target=playing.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{playing.server_address[1]}", Vllm
    playing.shutdown()
    playing.server_close()
    thread.join()


def test_a_running_server_is_read(server, settings):
    url, _ = server
    found = fit_model(url, workload=Workload(context_tokens=8192, concurrency=32), settings=settings)
    assert found.fits
    assert found.model == "assistant"
    assert found.largest_context_tokens == 28781 * 16 // 32
    assert any("460,496 tokens" in reason for reason in found.reasons)
    assert found.available_bytes == pytest.approx(56.21 * 2**30, rel=0.001)
    more = fit_model(f"{url}/v1", workload=Workload(context_tokens=8192, concurrency=64), settings=settings)
    assert not more.fits
    assert any("wait" in reason for reason in more.reasons)


def test_a_server_of_an_unknown_model_speaks_in_tokens(server, settings):
    url, kind = server
    kind.listed = {"data": [{"id": "secret", "max_model_len": 4096}]}
    found = fit_model(url, workload=Workload(context_tokens=8192), settings=settings)
    assert not found.fits
    assert found.parts == ()
    assert any("nothing is said in bytes" in reason for reason in found.reasons)


def test_a_server_that_does_not_say_is_an_error(server, settings):
    url, kind = server
    kind.metrics = ""
    with pytest.raises(UpstreamError, match="does not say how much"):
        fit_model(url, workload=Workload(), settings=settings)
    with pytest.raises(UpstreamError, match="does not answer"):
        fit_model("http://127.0.0.1:9", workload=Workload(), settings=settings)
    for odd in ({}, {"data": []}, {"data": ["x"]}, {"data": [{"id": 3}]}, []):
        with pytest.raises(UpstreamError, match="lists no model"):
            read("http://x", odd, METRICS)


def test_the_command_reads_a_server(server, monkeypatch, tmp_path):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path))
    result = CliRunner().invoke(cli, ["fit", server[0], "--context", "8192", "--concurrency", "8"])
    assert result.exit_code == 0, result.output
    assert "assistant" in result.stdout


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


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--train", "lora", "--engine", "vllm"], "of serving"),
        (["--train", "lora", "--adapter", "x"], "of serving"),
    ],
)
def test_options_of_serving_are_not_passed_over_in_training(arguments, says):
    result = CliRunner().invoke(cli, ["fit", "google/gemma-3-1b-it", "--machine", "L4", *arguments])
    assert says in str(result.exception)


@pytest.mark.parametrize(
    "arguments", [["--context", "0"], ["--concurrency", "-1"], ["--train", "lora", "--context", "0"]]
)
def test_no_context_is_a_usage_error(arguments):
    result = CliRunner().invoke(cli, ["fit", "google/gemma-3-1b-it", "--machine", "L4", *arguments])
    assert result.exit_code == 2
    assert "not in the range x>=1" in result.output


def _speed(quantization, rate):
    return MeasuredSpeed(
        id=str(rate), model="tiny.gguf", engine="llamacpp", weights_sha256=None, machine="here",
        prompt_tokens=512, completion_tokens=64, quantization=quantization,
        speed=Speed(
            prefill_tokens_per_second=(rate, rate), decode_tokens_per_second=(rate, rate),
            decode_all_tokens_per_second=(rate, rate), concurrency=1, how="measured", basis="test",
        ),
    )  # fmt: skip


def test_a_measured_speed_takes_the_estimates_place_for_its_own_weights(tiny, settings):
    machine = msgspec.structs.replace(find_machine("64GB", settings), name="here")

    def fitted(*speeds):
        return fit_model(
            str(tiny),
            workload=Workload(context_tokens=128),
            settings=settings,
            machine=machine,
            speeds=speeds,
        )

    plain, timed = fitted(), fitted(_speed("Q8_0", 5.0), _speed("Q8_0", 7.0), _speed("Q4_0", 9.0))
    assert timed.speed.decode_tokens_per_second == (7.0, 7.0)
    assert timed.speed.how == "measured"
    assert timed.id != plain.id
    assert fitted(_speed("Q4_0", 9.0)) == plain


def test_fit_leaves_no_project_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    assert CliRunner().invoke(cli, ["fit", "google/gemma-3-270m"]).exit_code in (0, 1)
    assert not (tmp_path / ".freehold").exists()
    (tmp_path / "freehold.toml").write_text("[app")
    result = CliRunner().invoke(cli, ["fit", "google/gemma-3-270m"])
    assert result.exit_code in (0, 1)
    assert "measured speeds are left out" in result.stderr


@pytest.mark.parametrize("said", ["", " ", "file:", "ollama:", "hf:"])
def test_no_model_is_no_file_either(settings, said):
    with pytest.raises(UnknownModelError, match="no model is named"):
        size_model(said, settings=settings)


@pytest.mark.parametrize("said", ["my model/7b", "a!/b", "hf:org/x", "hf:org/x@main#y.gguf"])
def test_a_name_no_repository_can_have_is_unknown(settings, said):
    with pytest.raises(UnknownModelError, match="neither in the catalog nor here"):
        size_model(said, settings=settings)


def test_a_repository_of_the_hub_may_be_written_as_pull_takes_it(settings):
    assert size_model("hf:google/gemma-3-1b-it", settings=settings).name == "google/gemma-3-1b-it"


def test_a_pipe_is_no_model_and_waits_for_nobody(tmp_path, settings):
    os.mkfifo(tmp_path / "p.gguf")
    with pytest.raises(InputError, match="no plain file"):
        size_model(str(tmp_path / "p.gguf"), settings=settings)
    with pytest.raises(InputError, match="no plain file"):
        local.describe(tmp_path / "p.gguf", "p", "file:p.gguf")
