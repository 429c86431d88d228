import pytest

from freehold.catalog import models
from freehold.hardware.vllm_memory import Layout, layout, tensor_layout


def sizes(model, form):
    shape = models.get(model).shape
    return [size for size in range(1, 17) if tensor_layout(shape, size, form) is not None]


def test_heads_are_divided_and_those_of_keys_divided_or_copied():
    assert sizes("Qwen/Qwen3-32B", "BF16") == [1, 2, 4, 8, 16]  # 64 heads, 8 of keys and values
    assert sizes("Qwen/Qwen3-14B", "BF16") == [1, 2, 4, 8]  # 40 heads: 16 does not divide
    assert sizes("meta-llama/Llama-3.2-3B-Instruct", "BF16") == [1, 2, 4, 8]  # 24 heads: not 3, of 8


def test_a_width_is_split_into_whole_blocks_or_experts_are_given_whole():
    """vLLM: "The output_size of gate's and up's weight = 320 is not divisible by weight quantization block_n = 128" for
    Qwen3-Coder-480B FP8 over 8, and 192 for Qwen3-235B (vllm-project/recipes: its tensor parallel is capped at 4)."""
    coder, big = (
        models.get(name).shape for name in ("Qwen/Qwen3-Coder-480B-A35B-Instruct", "Qwen/Qwen3-235B-A22B")
    )
    for shape in (coder, big):
        assert tensor_layout(shape, 4, "FP8") == Layout(4)
        assert tensor_layout(shape, 8, "FP8") == Layout(8, experts=True)
        assert tensor_layout(shape, 8, "BF16") == Layout(8)
    assert tensor_layout(models.get("deepseek-ai/DeepSeek-V3").shape, 8, "FP8") == Layout(8)


def test_devices_that_do_not_divide_are_given_layers():
    shape = models.get("Qwen/Qwen3-32B").shape
    assert layout(shape, 1, "BF16") == Layout()
    assert layout(shape, 3, "BF16") == Layout(1, 3)
    assert layout(shape, 6, "BF16") == Layout(2, 3)
    assert layout(shape, 8, "BF16") == Layout(8)
    assert layout(shape, 16, "BF16") == Layout(8, 2)
    assert layout(shape, 5, "BF16").options == "--pipeline-parallel-size 5"


@pytest.mark.parametrize("model", models.all_models(), ids=lambda model: model.id)
def test_every_model_is_split_over_any_number_of_devices(model):
    for devices in range(1, 18):
        assert layout(model.shape, devices, "FP8").devices == devices
