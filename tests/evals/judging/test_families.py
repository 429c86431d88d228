import pytest

from freehold.evals.judging.families import family, same_family


@pytest.mark.parametrize(
    ("model", "maker"),
    [
        ("gpt-4o-2024-08-06", "openai"),
        ("o3-mini", "openai"),
        ("openrouter/o1", "openai"),
        ("anthropic/claude-3-haiku", "anthropic"),
        ("google/gemma-2-9b-it", "google"),
        ("meta-llama/Llama-3.1-8B", "llama"),
        ("mistralai/Mixtral-8x7B", "mistral"),
        ("Qwen/QwQ-32B", "qwen"),
        ("microsoft/phi-4", "microsoft"),
        ("HuggingFaceTB/SmolLM2-135M", "huggingface"),
        ("my-model", None),
    ],
)
def test_a_name_tells_its_maker(model, maker):
    assert family(model) == maker


def test_unknown_names_are_not_related():
    assert same_family("gpt-4o", "chatgpt-latest")
    assert not same_family("gpt-4o", "claude-3-haiku")
    assert not same_family("my-model", "my-model")
