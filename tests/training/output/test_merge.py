"""What was merged computes what base and adapter compute together."""

import json

import pytest
import torch
from tests.training.output.merging import IDS, adapter_on

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
