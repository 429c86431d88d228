"""A wholly trained model as GGUF tensors: llama.cpp's names, its order of rows."""

import pytest
import torch
from tests.training.conftest import make_model

from freehold.errors import TrainingError
from freehold.training.output.artefacts import permuted
from freehold.training.output.whole_tensors import WholeTensors


@pytest.fixture
def trained(tmp_path, tokenizer):
    model = make_model(tokenizer)
    model.save_pretrained(tmp_path)
    return tmp_path, dict(model.named_parameters())


def not_asked():
    raise AssertionError("the base's values are not needed")


def test_a_llamas_queries_and_keys_are_reordered_and_nothing_else(trained):
    folder, parameters = trained
    tensors = WholeTensors(folder, "llama")
    assert len(tensors.names()) == len(parameters)
    layer = "model.layers.1.self_attn.{}_proj.weight"
    for name, key, heads in (("attn_q", "q", 4), ("attn_k", "k", 2)):
        found = torch.from_numpy(tensors.merged(f"blk.1.{name}.weight", not_asked))
        assert torch.equal(found, permuted(parameters[layer.format(key)].detach(), heads))
    value = torch.from_numpy(tensors.merged("blk.1.attn_v.weight", not_asked))
    assert torch.equal(value, parameters[layer.format("v")].detach())


def test_other_architectures_keep_their_rows_and_unknown_ones_are_refused(trained):
    folder, parameters = trained
    found = WholeTensors(folder, "qwen2").merged("blk.0.attn_q.weight", not_asked)
    assert torch.equal(torch.from_numpy(found), parameters["model.layers.0.self_attn.q_proj.weight"].detach())
    with pytest.raises(TrainingError, match="whole gemma3 models are not written as GGUF"):
        WholeTensors(folder, "gemma3")


def test_a_tensor_without_a_name_is_told(trained):
    from safetensors.torch import save_file

    folder, _ = trained
    save_file({"odd.weight": torch.zeros(2, 2)}, str(folder / "model.safetensors"))
    with pytest.raises(TrainingError, match=r"no name for odd\.weight"):
        WholeTensors(folder, "llama")
