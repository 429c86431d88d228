import pytest

from freehold.hardware.hf_form import StoredForm, form_of_config

INT4 = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "group_size": 32}}},
    "ignore": ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*"],
}
"""As Kimi-K2.5's config.json has it."""


@pytest.mark.parametrize(
    ("config", "form"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, StoredForm("FP8")),
        ({"quant_method": "fp8", "modules_to_not_convert": ["model.layers.0.self_attn.indexer.k_norm"]},
         StoredForm("FP8")),
        ({"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]},
         StoredForm("MXFP4", "BF16")),
        (INT4, StoredForm("INT4", "BF16")),
        ({**INT4, "ignore": ["lm_head"]}, StoredForm("INT4")),
        ({"quant_method": "compressed-tensors", "format": "mxfp4-pack-quantized", "ignore": ["re:.*self_attn.*"]},
         StoredForm("MXFP4", "BF16")),
        ({"quant_method": "compressed-tensors", "format": "float-quantized"}, StoredForm("FP8")),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, StoredForm("NVFP4")),
        ({"quant_method": "awq", "bits": 4}, StoredForm("AWQ")),
        ({"quant_method": "gptq", "bits": 8}, StoredForm("INT8")),
        ({"quant_method": "something new"}, None),
        ("fp8", None),
    ],
)  # fmt: skip
def test_the_form_is_read_from_the_config(config, form):
    assert form_of_config({"quantization_config": config}) == form
    assert form_of_config({"text_config": {"quantization_config": config}}) == form


def test_a_config_without_one_names_no_form():
    assert form_of_config({}) is None
