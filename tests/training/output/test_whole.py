"""What full fine-tuning leaves can be loaded again, and broken weights are not written."""

import msgspec
import pytest
import torch
from tests.training.jobs import make
from tests.training.output.merging import gguf_of

from freehold.errors import TrainingError
from freehold.training import base as bases
from freehold.training import export
from freehold.types.config import FinetuneConfig

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
