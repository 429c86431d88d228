"""By which name a chat request limits the tokens of its answer: ``max_tokens``, or ``max_completion_tokens``.

OpenAI's o-series and GPT-5 refuse the first, and the hosts that serve them take the second for all models (OpenAI's API
reference, chat completions, read 2026-11-29); other vendors and engines may know the first alone.
"""

from __future__ import annotations

import re

import msgspec

from freehold.wire.base_url import has_responses, is_azure

_REASONS = re.compile(r"(?:.*/)?(?:o[1-9]|gpt-(?:[5-9]|\d\d))(?![a-z0-9])")


def takes_completion_limit(base_url: str, model: str) -> bool:
    """Whether a model at an address is told ``max_completion_tokens``."""
    return has_responses(base_url) or is_azure(base_url) or _REASONS.match(model) is not None


def with_completion_limit(body: bytes) -> bytes:
    """A chat request whose ``max_tokens``, if it has that, stands under the newer name."""
    if b'"max_tokens"' not in body:
        return body
    fields: dict[str, msgspec.Raw] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    names = {"max_tokens": "max_completion_tokens"}
    return msgspec.json.encode({names.get(name, name): value for name, value in fields.items()})
