"""What was merged computes what base and adapter compute together."""

import json

import msgspec
import numpy as np
import pytest
import torch

from freehold.errors import TrainingError
from freehold.training import base as bases
from freehold.training.methods.lora import LoraTrainer
from freehold.training.output import export, merge_gguf
from freehold.training.output.artefacts import permuted
from freehold.training.output.merge import merge_here
from freehold.training.output.merge_job import MergeJob
from freehold.types.config import FinetuneConfig

IDS = torch.tensor([[1, 5, 40, 7, 99, 23, 2, 64]])


def adapter_on(weights, folder, **options):
    """A random adapter, saved as training saves it; the logits of the base with it, and its PEFT model."""
    config = FinetuneConfig(r=4, lora_alpha=32, precision="fp32", **options)
    base = bases.load(weights, config)
    trainer = LoraTrainer(base, config)
    torch.manual_seed(1)
    trainer.parameters.flat.data.normal_(std=0.3)
    folder.mkdir()
    trainer.model.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(base.tokenizer.chat_template)
    if not config.use_dora:
        tensors = export._lora_tensors(trainer.model)
        export.write_gguf(folder / "adapter.gguf", trainer.model, tensors, architecture="llama", name="x")
    trainer.model.set_attn_implementation("sdpa")
    with torch.no_grad():
        return trainer.model(input_ids=IDS).logits, trainer.model


def gguf_of(model, path):
    """A tiny Llama as a GGUF, tensors in llama.cpp's names and row order."""
    import gguf

    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_block_count(2)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
    writer.add_array("general.tags", ["x"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        values = tensor.float()
        if name.endswith("q_proj.weight"):
            values = permuted(values, 4)
        elif name.endswith("k_proj.weight"):
            values = permuted(values, 2)
        known = names.get_name(name, try_suffixes=(".weight",))
        kind = gguf.GGMLQuantizationType.Q8_0 if values.ndim == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(known, gguf.quantize(values.numpy(), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}, {"use_dora": True}])
def test_merged_safetensors_give_the_logits_of_base_and_adapter(tmp_path, tiny, options):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    wanted, _ = adapter_on(tiny, tmp_path / "adapter", **options)
    plain = AutoModelForCausalLM.from_pretrained(tiny.path)
    job = MergeJob(
        weights=tiny, adapter_path=str(tmp_path / "adapter"), target=str(tmp_path / "merged"), precision="f32"
    )
    merged = merge_here(job)
    assert merged.changed == 2 * 7
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    with torch.no_grad():
        found, before = model(input_ids=IDS).logits, plain(input_ids=IDS).logits
    assert torch.allclose(found, wanted, atol=1e-4)
    assert not torch.allclose(before, wanted, atol=0.1)
    assert "quantization_config" not in json.loads((tmp_path / "merged" / "config.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    assert tokenizer.chat_template == (tmp_path / "adapter" / "chat_template.jinja").read_text()


@pytest.mark.parametrize("options", [{}, {"use_dora": True}, {"use_dora": True, "use_rslora": True}])
@pytest.mark.parametrize(("quantization", "tolerance"), [("F32", 1e-5), ("F16", 2e-3), ("Q8_0", 0.03)])
def test_merged_gguf_has_the_changed_rows_where_llama_cpp_looks(
    tmp_path, tiny, quantization, tolerance, options
):
    import gguf
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(tiny.path)
    gguf_of(plain, tmp_path / "base.gguf")
    _, adapted = adapter_on(tiny, tmp_path / "adapter", **options)
    weights = msgspec.structs.replace(tiny, format="gguf", path=str(tmp_path / "base.gguf"))
    job = MergeJob(
        weights=weights,
        adapter_path=str(tmp_path / "adapter"),
        target=str(tmp_path / "out" / "merged.gguf"),
        quantization=quantization,
    )
    assert merge_here(job).changed == 2 * 7
    # The same merge by PEFT, written by the same helper: what llama.cpp would have to find.
    whole = adapted.merge_and_unload()
    gguf_of(whole, tmp_path / "wanted.gguf")
    found, wanted = (
        {one.name: one for one in gguf.GGUFReader(str(path)).tensors}
        for path in (tmp_path / "out" / "merged.gguf", tmp_path / "wanted.gguf")
    )
    assert found.keys() == wanted.keys()
    for name, one in found.items():
        ours, theirs = (gguf.dequantize(t.data, t.tensor_type) for t in (one, wanted[name]))
        assert np.abs(ours - theirs).max() <= tolerance + np.abs(theirs).max() / 60, name
    reader = gguf.GGUFReader(str(tmp_path / "out" / "merged.gguf"))
    assert reader.get_field("tokenizer.ggml.tokens").contents() == ["a", "b"]
    assert reader.get_field("general.name").contents() == "tiny"
    assert found["blk.0.attn_q.weight"].tensor_type == gguf.GGMLQuantizationType[quantization]
    assert found["token_embd.weight"].tensor_type == gguf.GGMLQuantizationType.Q8_0  # as it was


def test_what_cannot_become_a_gguf_says_what_can(tmp_path, tiny):
    from transformers import AutoModelForCausalLM

    adapter_on(tiny, tmp_path / "adapter", use_dora=True)
    job = MergeJob(
        weights=tiny, adapter_path=str(tmp_path / "adapter"), target=str(tmp_path / "x"), quantization="F16"
    )
    with pytest.raises(TrainingError, match="a base that is a GGUF") as caught:
        merge_gguf.merge(job)
    assert "--as merged" in caught.value.hint
    gguf_of(AutoModelForCausalLM.from_pretrained(tiny.path), tmp_path / "base.gguf")
    job = msgspec.structs.replace(
        job, weights=msgspec.structs.replace(tiny, format="gguf", path=str(tmp_path / "base.gguf"))
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="holds neither an adapter"):
        merge_gguf.merge(msgspec.structs.replace(job, adapter_path=str(tmp_path / "empty")))
    config = tmp_path / "adapter" / "adapter_config.json"
    said = json.loads(config.read_text())
    for change in ({"bias": "all"}, {"peft_type": "LOHA"}):
        config.write_text(json.dumps({**said, **change}))
        with pytest.raises(TrainingError, match="no LoRA of linear layers alone"):
            merge_gguf.merge(job)
    with pytest.raises(TrainingError, match="no encoder for Q4_K_M"):
        merge_gguf.merge(msgspec.structs.replace(job, quantization="Q4_K_M"))
