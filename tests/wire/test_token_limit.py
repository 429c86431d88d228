"""By which name the tokens of an answer are limited."""

import json

import pytest

from freehold.wire.token_limit import takes_completion_limit, with_completion_limit

OWN = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("base_url", "model", "newer"),
    [
        (OWN, "o3-mini", True),
        (OWN, "openai/gpt-5.1", True),
        (OWN, "gpt-5", True),
        (OWN, "gpt-4o", False),
        (OWN, "gpt-oss-120b", False),
        (OWN, "olmo-3", False),
        (OWN, "o1", True),
        ("https://api.openai.com/v1", "gpt-4o", True),
        ("https://x.openai.azure.com/openai/deployments/mine?api-version=1", "mine", True),
        ("https://api.mistral.ai/v1", "mistral-large", False),
    ],
)
def test_who_is_told_the_newer_name(base_url, model, newer):
    assert takes_completion_limit(base_url, model) is newer


def test_the_limit_stands_under_the_newer_name():
    body = b'{"model":"o3","max_tokens":5,"x":1e3}'
    assert with_completion_limit(body) == b'{"model":"o3","max_completion_tokens":5,"x":1e3}'
    plain = json.dumps({"model": "o3"}).encode()
    assert with_completion_limit(plain) is plain
