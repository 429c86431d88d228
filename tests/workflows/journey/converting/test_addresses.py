import pytest

from freehold.workflows.journey.converting.addresses import address, azure_address, clean_url, key_variable


@pytest.mark.parametrize(
    ("url", "clean"),
    [
        ("https://api.example.com/v1/", "https://api.example.com/v1"),
        ("http://user:SECRET@host:8000/v1?key=SECRET#x", "http://host:8000/v1"),
        ("https://h/openai?api-version=2024-10-21&sig=SECRET", "https://h/openai?api-version=2024-10-21"),
        ("https://h/v1/chat/completions", "https://h/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("file:///etc/passwd", None),
        ("https://${HOST}/v1", None),
        ("http://a b/v1", None),
        ("http://h:99999/v1", None),
        ("", None),
    ],
)
def test_addresses_lose_what_may_be_secret(url, clean):
    assert clean_url(url) == clean


def test_a_provider_is_a_vendor_an_engine_or_an_address():
    assert address("together_ai").preset == "together"
    assert address("openai", "https://api.openai.com/v1").preset == "openai"
    assert address("openai", "http://gpu:8000/v1")[:2] == (None, "http://gpu:8000/v1")
    assert address("anthropic").api == "anthropic"
    assert address("ollama").api == "ollama"
    assert address("azure") is None and address("bedrock") is None and address("unheard-of") is None
    assert key_variable("fireworks_ai") == "FIREWORKS_API_KEY" and key_variable("hosted_vllm") is None


def test_azure_needs_a_resource_and_a_deployment():
    assert azure_address(None, "gpt", None) is None
    assert azure_address("https://r.openai.azure.com", "a/../b", None) is None
    whole = "https://r.openai.azure.com/openai/deployments/gpt/chat/completions?api-version=1"
    assert azure_address(whole, "gpt", None).base_url == (
        "https://r.openai.azure.com/openai/deployments/gpt?api-version=1"
    )
