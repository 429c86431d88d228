import pytest

from freehold.costs.names import MOVING, BilledName, billed_name


@pytest.mark.parametrize(
    ("name", "model", "vendor"),
    [
        ("gpt-4o", "gpt-4o", None),
        ("openai/gpt-4o", "gpt-4o", "openai"),
        ("azure/gpt-4o", "gpt-4o", "azure"),
        ("azure/eu/gpt-4o-2024-08-06", "gpt-4o-2024-08-06", "azure"),
        ("bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic.claude-3-5-sonnet-20240620-v1:0", "aws"),
        ("bedrock/us-east-1/meta.llama3-1-8b-instruct-v1:0", "meta.llama3-1-8b-instruct-v1:0", "aws"),
        ("bedrock/converse/amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0", "aws"),
        ("eu.anthropic.claude-haiku-4-5-20251001-v1:0", "eu.anthropic.claude-haiku-4-5-20251001-v1:0", "aws"),
        (
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "aws",
        ),
        ("vertex_ai/claude-haiku-4-5@20251001", "claude-haiku-4-5@20251001", "google"),
        ("openrouter/openai/gpt-4o", "openai/gpt-4o", "openrouter"),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", "ft:gpt-4o-mini-2024-07-18:acme::abc", "openai"),
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B", None),
        ("mistral-large-2512", "mistral-large-2512", None),
    ],
)  # fmt: skip
def test_a_name_says_whose_model_it_is(name, model, vendor):
    assert billed_name(name) == BilledName(model, vendor)


def test_a_name_that_moves_stands_for_one_release_with_source_and_day():
    for name, moved in MOVING.items():
        found = billed_name(f"mistral/{name}")
        assert (found.model, found.vendor) == (moved.model, "mistral")
        assert str(moved.read) in found.note and moved.source in found.note
