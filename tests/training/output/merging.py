"""Adapters and tiny GGUF files to merge."""

import torch

from freehold.training import base as bases
from freehold.training import export
from freehold.training.artefacts import permuted
from freehold.training.methods import adapter_config, attaching
from freehold.types.config import FinetuneConfig

IDS = torch.tensor([[1, 5, 40, 7, 99, 23, 2, 64]])


def adapter_on(weights, folder, **options):
    """A random adapter, as training or another tool (`options` of PEFT) saves it; the
    logits of the base with it, and its PEFT model."""
    import peft

    config = FinetuneConfig(r=4)
    base = bases.load(weights, config)
    made = adapter_config(base, config)
    for name, value in options.items():
        setattr(made, name, value)
    with attaching():
        model = peft.get_peft_model(base.model, made)
    torch.manual_seed(1)
    for one in model.parameters():
        if one.requires_grad:
            one.data.normal_(std=0.3)
    folder.mkdir()
    model.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(base.tokenizer.chat_template)
    tensors = export._lora_tensors(model)
    export.write_gguf(folder / "adapter.gguf", model, tensors, architecture="llama", name="x")
    model.set_attn_implementation("sdpa")
    with torch.no_grad():
        return model(input_ids=IDS).logits, model


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
