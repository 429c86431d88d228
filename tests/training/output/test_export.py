"""What a run leaves: an adapter's GGUF, and no broken weights."""

import numpy as np
import pytest
import torch
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


def test_other_architectures_keep_their_rows(tmp_path, trainer):
    path = tmp_path / "adapter.gguf"
    tensors = export._lora_tensors(trainer.model)
    export.write_gguf(path, trainer.model, tensors, architecture="qwen2", name="x")
    _, found = read(path)
    key = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
    assert np.array_equal(found["blk.0.attn_q.weight.lora_b"], tensors[key].numpy())


def test_weights_that_are_not_finite_are_named(tmp_path, tiny, trainer):
    trainer.parameters.flat.data[0] = float("nan")
    with pytest.raises(TrainingError, match="not finite: base_model"):
        export._write_lora(tmp_path, make(tmp_path, tiny), trainer.base, trainer.model)
    assert not list(tmp_path.glob("*.gguf"))
