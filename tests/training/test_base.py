"""Loading a base: its precision, its kind, and what is refused."""

import gguf
import msgspec
import pytest
import torch
from tests.training.output.merging import gguf_of

from freehold.errors import TrainingError, WeightsError
from freehold.training import base as bases
from freehold.training.base import parsed_once
from freehold.types.config import FinetuneConfig


@pytest.mark.parametrize(
    ("capabilities", "name", "reason"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, "bf16", "CPU with AMX"),
        ({"bf16": True}, "bf16", "CPU with Arm BF16"),
        ({"avx512_bf16": False}, "fp32", "no fast bf16 on this cpu"),
    ],
)
def test_bf16_is_chosen_where_the_cpu_multiplies_it_fast(monkeypatch, capabilities, name, reason):
    monkeypatch.undo()  # what conftest puts in the place of the machine
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert bases.choose_precision("cpu") == (name, reason)


def test_a_folder_is_loaded_frozen_with_its_template(tiny, tokenizer):
    loaded = bases.load(tiny, FinetuneConfig())
    assert loaded.architecture == "llama" and loaded.dtype == torch.float32
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    assert loaded.weight_bytes == sum(weight.numel() for weight in loaded.model.parameters()) * 4
    assert loaded.tokenizer.chat_template == tokenizer.chat_template
    other = msgspec.structs.replace(tiny, chat_template="{{ messages }}")
    assert bases.load_tokenizer(other).chat_template == "{{ messages }}"


def test_the_architecture_of_a_gguf_is_what_it_says(tiny, tmp_path):
    model = bases.load(tiny, FinetuneConfig()).model
    gguf_of(model, tmp_path / "base.gguf")
    weights = msgspec.structs.replace(tiny, format="gguf", path=str(tmp_path / "base.gguf"))
    assert bases.architecture(weights, model) == "llama"
    model.config.architectures = ["OddForCausalLM"]
    assert bases.architecture(tiny, model) is None


def test_weights_that_are_missing_or_broken_are_said_so(tiny, tmp_path):
    gone = msgspec.structs.replace(tiny, path=str(tmp_path / "gone"))
    with pytest.raises(WeightsError, match="are not at") as caught:
        bases.load(gone, FinetuneConfig())
    assert caught.value.hint == "freehold pull test/tiny"
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(WeightsError, match="cannot read safetensors weights of test/tiny"):
        bases.load(msgspec.structs.replace(tiny, path=str(tmp_path)), FinetuneConfig())


def test_a_gguf_is_not_quantized_a_second_time(tiny):
    bases.check_method(tiny, FinetuneConfig(method="qlora"))
    with pytest.raises(TrainingError, match="a second time") as caught:
        bases.check_method(msgspec.structs.replace(tiny, format="gguf"), FinetuneConfig(method="qlora"))
    assert 'method = "lora"' in caught.value.hint


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_same_file_is_read_once(file):
    original = gguf.GGUFReader
    with parsed_once():
        first, again = gguf.GGUFReader(str(file)), gguf.GGUFReader(file)
        assert first is again
        assert first.get_field("general.architecture").contents() == "llama"
    assert gguf.GGUFReader is original


def test_the_library_is_restored_after_an_error(file):
    original = gguf.GGUFReader
    with pytest.raises(FileNotFoundError), parsed_once():
        gguf.GGUFReader(file.with_name("none.gguf"))
    assert gguf.GGUFReader is original
