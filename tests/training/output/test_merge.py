"""What was merged computes what base and adapter compute together, with the rows where llama.cpp looks for them."""

import json

import msgspec
import numpy as np
import pytest
import torch
from tests.training.output.merging import IDS, adapter_on, gguf_of

from freehold.errors import TrainingError
from freehold.training import merge
from freehold.training.artefacts import MergeJob
from freehold.training.merge import merge_here


@pytest.mark.parametrize("options", [{}, {"use_rslora": True}])
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


@pytest.mark.parametrize(
    ("quantization", "tolerance", "options"),
    [("F32", 1e-5, {"use_rslora": True}), ("F16", 2e-3, {}), ("Q8_0", 0.03, {})],
)
def test_merged_gguf_has_the_changed_rows_where_llama_cpp_looks(
    tmp_path, tiny, quantization, tolerance, options
):
    import gguf
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(tiny.path)
    gguf_of(plain, tmp_path / "base.gguf")
    _, adapted = adapter_on(tiny, tmp_path / "adapter", **options)
    (tmp_path / "adapter" / "chat_template.jinja").write_text("as trained")
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
    assert reader.get_field("tokenizer.chat_template").contents() == "as trained"
    assert reader.get_field("general.name").contents() == "tiny"
    assert found["blk.0.attn_q.weight"].tensor_type == gguf.GGMLQuantizationType[quantization]
    assert found["token_embd.weight"].tensor_type == gguf.GGMLQuantizationType.Q8_0  # as it was


def test_what_cannot_become_a_gguf_says_what_can(tmp_path, tiny):
    from transformers import AutoModelForCausalLM

    adapter_on(tiny, tmp_path / "adapter")
    job = MergeJob(
        weights=tiny, adapter_path=str(tmp_path / "adapter"), target=str(tmp_path / "x"), quantization="F16"
    )
    with pytest.raises(TrainingError, match="a base that is a GGUF") as caught:
        merge.merge_gguf(job)
    assert "--as merged" in caught.value.hint
    gguf_of(AutoModelForCausalLM.from_pretrained(tiny.path), tmp_path / "base.gguf")
    job = msgspec.structs.replace(
        job, weights=msgspec.structs.replace(tiny, format="gguf", path=str(tmp_path / "base.gguf"))
    )
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="holds no adapter"):
        merge.merge_gguf(msgspec.structs.replace(job, adapter_path=str(tmp_path / "empty")))
    with pytest.raises(TrainingError, match="no encoder for Q4_K_M"):
        merge.merge_gguf(msgspec.structs.replace(job, quantization="Q4_K_M"))
