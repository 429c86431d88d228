"""What a run leaves: an adapter's GGUF, or a whole model, and no broken weights."""

import msgspec
import numpy as np
import pytest
import torch
from tests.training.output.merging import gguf_of
from tests.training.runs import make

from freehold.errors import TrainingError
from freehold.training import base as bases
from freehold.training import export
from freehold.training.methods import LoraTrainer
from freehold.types.config import FinetuneConfig


@pytest.fixture
def trainer(tiny):
    config = FinetuneConfig(r=4)
    trainer = LoraTrainer(bases.load(tiny, config), config)
    torch.manual_seed(1)
    trainer.parameters.flat.data.normal_()
    return trainer


def read(path):
    from gguf import GGUFReader

    reader = GGUFReader(str(path))
    return reader, {tensor.name: np.array(tensor.data) for tensor in reader.tensors}


def test_gguf_adapter_names_scale_and_row_order(tmp_path, trainer):
    path = tmp_path / "adapter.gguf"
    tensors = export._lora_tensors(trainer.model)
    export.write_gguf(path, trainer.model, tensors, architecture="llama", name="x")
    reader, found = read(path)
    assert reader.get_field("general.type").contents() == "adapter"
    assert reader.get_field("adapter.type").contents() == "lora"
    assert reader.get_field("adapter.lora.alpha").contents() == 8  # llama.cpp scales by alpha / r
    assert len(found) == 2 * 2 * 7
    key = "base_model.model.model.layers.1.self_attn.{}_proj.lora_{}.weight"
    assert np.array_equal(found["blk.1.attn_q.weight.lora_a"], tensors[key.format("q", "A")].numpy())
    assert np.array_equal(found["blk.1.attn_v.weight.lora_b"], tensors[key.format("v", "B")].numpy())
    # 4 heads of 8 rows: halves (0-3, 4-7) of a head become neighbours (0, 4, 1, 5, …).
    order = [head * 8 + row for head in range(4) for row in (0, 4, 1, 5, 2, 6, 3, 7)]
    assert np.array_equal(found["blk.1.attn_q.weight.lora_b"], tensors[key.format("q", "B")].numpy()[order])
    order = [head * 8 + row for head in range(2) for row in (0, 4, 1, 5, 2, 6, 3, 7)]
    assert np.array_equal(found["blk.1.attn_k.weight.lora_b"], tensors[key.format("k", "B")].numpy()[order])


CONFIG = FinetuneConfig(method="full", learning_rate=0.01, epochs=1)


def trained(tmp_path, weights):
    job = make(tmp_path, weights, config=CONFIG)
    base = bases.load(weights, CONFIG)
    with torch.no_grad():
        base.model.model.norm.weight.mul_(2)
    return job, base


def test_the_folder_holds_the_trained_model_with_its_tokenizer(tmp_path, tiny):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    job, base = trained(tmp_path, tiny)
    names = export.write_whole(tmp_path / "out", job, base)
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= set(names)
    assert "model.gguf" not in names, "the base is not a GGUF"
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert torch.equal(again.model.norm.weight, base.model.model.norm.weight)
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template == base.tokenizer.chat_template


def test_from_a_gguf_base_comes_a_gguf_too(tmp_path, tiny):
    import gguf

    job, base = trained(tmp_path, tiny)
    gguf_of(base.model, tmp_path / "base.gguf")
    weights = msgspec.structs.replace(tiny, format="gguf", path=str(tmp_path / "base.gguf"))
    job = msgspec.structs.replace(job, base=weights)
    assert "model.gguf" in export.write_whole(tmp_path / "out", job, base._replace(architecture="llama"))
    tensors = gguf.GGUFReader(str(tmp_path / "out" / "model.gguf")).tensors
    norm = next(one.data for one in tensors if one.name == "output_norm.weight")
    assert norm == pytest.approx(base.model.model.norm.weight.detach().numpy(), rel=1e-6)


def test_weights_that_are_not_finite_are_named(tmp_path, tiny):
    job, base = trained(tmp_path, tiny)
    with torch.no_grad():
        base.model.model.norm.weight[0] = float("nan")
    with pytest.raises(TrainingError, match=r"not finite: model\.norm\.weight"):
        export.write_whole(tmp_path / "out", job, base)
    assert not (tmp_path / "out").exists()
