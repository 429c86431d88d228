"""Which vendor's price of which model a name stands for: ``azure/gpt-4o``, Bedrock's ids, names that move.

Covered: the prefixes of LiteLLM (docs.litellm.ai, "Providers", read 2026-11-27), Bedrock's ids with and without a
region before them, its ARNs, Vertex's ids. Not covered: names people give their own deployments.
"""

from __future__ import annotations

import datetime
import re
from typing import NamedTuple

_VENDORS = {
    **dict.fromkeys(("azure", "azure_ai", "azure_text"), "azure"),
    **dict.fromkeys(("bedrock", "bedrock_converse", "amazon-bedrock", "aws"), "aws"),
    **dict.fromkeys(("vertex_ai", "vertex", "vertexai", "gemini", "google", "google_genai"), "google"),
    **dict.fromkeys(("mistral", "mistralai"), "mistral"),
    **dict.fromkeys(("xai", "x-ai"), "x-ai"),
    **dict.fromkeys(("together", "together_ai"), "together"),
    **dict.fromkeys(("fireworks", "fireworks_ai"), "fireworks"),
    **dict.fromkeys(("cohere", "cohere_chat"), "cohere"),
    **dict.fromkeys(("moonshot", "moonshotai"), "moonshotai"),
    **{name: name for name in ("openai", "anthropic", "groq", "deepseek", "perplexity", "cerebras", "openrouter",
                               "databricks", "cloudflare", "novita", "minimax", "zai", "baseten")},
}  # fmt: skip
"""A prefix, and the vendor's id in the price list."""
_BEDROCK = re.compile(
    r"(?:(?:us|eu|apac|ap|ca|sa|jp|au|us-gov|global)\.)?"
    r"(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai|qwen|writer|google|nvidia|moonshotai|zai)\.[a-z]"
)


class MovingName(NamedTuple):
    """A name that stands for another release from time to time, and what it stood for when that was read."""

    model: str
    read: datetime.date
    source: str


MOVING = {
    "mistral-large-latest": MovingName(
        "mistral-large-4",
        datetime.date(2026, 11, 27),
        "newest Mistral Large on the API since 2026-10-06 (docs.mistral.ai/models/mistral-large-4-0)",
    ),
}
"""Names that move and that the price list has not followed. All other names are as the price list reads them."""


class BilledName(NamedTuple):
    """A model as the price list calls it. `vendor` is None where the name does not say whose it is."""

    model: str
    vendor: str | None = None
    note: str | None = None


def billed_name(name: str) -> BilledName:
    """What to look up for a name as applications, gateways and clouds write it."""
    text = name.strip()
    if text.startswith("arn:"):  # of a foundation model or an inference profile of Bedrock
        return BilledName(text.rpartition("/")[2], "aws")
    if text.startswith(
        "ft:"
    ):  # the price list looks among one vendor's fine-tunes only when told whose they are
        return BilledName(text, "openai")
    prefix, slash, rest = text.partition("/")
    vendor = _VENDORS.get(prefix.lower()) if slash else None
    if vendor in ("aws", "azure"):  # the way (``converse``) or the region may stand between
        rest = rest.rpartition("/")[2]
    model = rest if vendor is not None else text
    if vendor is None and _BEDROCK.match(model.lower()):
        vendor = "aws"
    moved = MOVING.get(model.lower()) if vendor in (None, "mistral") else None
    if moved is None:
        return BilledName(model, vendor)
    note = (
        f"{model} is taken for {moved.model} ({moved.source}, read {moved.read}); name the release to be sure"
    )
    return BilledName(moved.model, "mistral", note)
