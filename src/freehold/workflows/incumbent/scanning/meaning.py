"""What a string or an import says about rented models: a model's id, an SDK, an endpoint, a key's name."""

from __future__ import annotations

import re
from typing import NamedTuple

from freehold.catalog import retirements
from freehold.types.planning.scan import ModelUseKind
from freehold.workflows.incumbent.scanning.word import Word


class Meaning(NamedTuple):
    """`model` is set for ids only."""

    kind: ModelUseKind
    vendor: str
    how: str
    model: str | None = None


SDKS: dict[str, str] = {
    "openai": "OpenAI", "anthropic": "Anthropic", "@anthropic-ai/sdk": "Anthropic", "cohere": "Cohere",
    "google.generativeai": "Google", "google.genai": "Google", "@google/generative-ai": "Google",
    "@google/genai": "Google", "vertexai": "Google", "mistralai": "Mistral AI", "@mistralai/mistralai": "Mistral AI",
    "langchain_openai": "OpenAI", "langchain_anthropic": "Anthropic", "@langchain/openai": "OpenAI",
    "@langchain/anthropic": "Anthropic", "llama_index.llms.openai": "OpenAI", "litellm": "several",
    "@ai-sdk/openai": "OpenAI", "@ai-sdk/anthropic": "Anthropic", "@ai-sdk/google": "Google",
    "@azure/openai": "OpenAI on Azure", "groq": "Groq", "cohere-ai": "Cohere",
}  # fmt: skip

HOSTS: dict[str, str] = {
    "api.openai.com": "OpenAI", "api.anthropic.com": "Anthropic", "generativelanguage.googleapis.com": "Google",
    "openai.azure.com": "OpenAI on Azure", "aiplatform.googleapis.com": "Google", "api.cohere.ai": "Cohere",
    "api.cohere.com": "Cohere", "api.mistral.ai": "Mistral AI", "api.x.ai": "xAI",
    "bedrock-runtime": "Amazon Bedrock",
}  # fmt: skip

KEYS: dict[str, str] = {
    "OPENAI_API_KEY": "OpenAI", "ANTHROPIC_API_KEY": "Anthropic", "GEMINI_API_KEY": "Google",
    "GOOGLE_API_KEY": "Google", "AZURE_OPENAI_API_KEY": "OpenAI on Azure", "COHERE_API_KEY": "Cohere",
    "MISTRAL_API_KEY": "Mistral AI",
}  # fmt: skip

_IDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:ft:)?(?:chat)?gpt-(?!oss|neo|sw3|j\b|2\b)[\w.-]*\d[\w.:-]*"), "OpenAI"),
    (re.compile(r"o[134](?:-(?:mini|pro|preview|deep-research))?(?:-\d{4}-\d\d-\d\d)?"), "OpenAI"),
    (re.compile(r"(?:text-embedding|text-davinci|davinci|babbage|tts|dall-e)-[\w.-]+|whisper-\d"), "OpenAI"),
    (re.compile(r"(?:(?:us|eu|apac|global)\.)?anthropic\.claude-[\w.:-]+"), "Anthropic on Bedrock"),
    (re.compile(r"claude-(?:[\w.-]*\d[\w.-]*)(?:@\d{8})?"), "Anthropic"),
    (re.compile(r"gemini-[\w.-]*\d[\w.-]*"), "Google"),
    (re.compile(r"(?:command-[ra][\w.+-]*|embed-(?:english|multilingual)-[\w.-]+)"), "Cohere"),
    (re.compile(r"mistral-(?:large|small|medium|tiny)-(?:latest|\d{4})"), "Mistral AI"),
    (re.compile(r"grok-\d[\w.-]*"), "xAI"),
)
_PREFIX = re.compile(
    r"^(?:openai|anthropic|azure|google|gemini|vertex_ai|bedrock|cohere|mistral|xai|models)[/:]"
)


def meaning(word: Word) -> Meaning | None:
    """What the word says, or None. A whole string must be the id: text that mentions a model does not use it."""
    text = word.text.strip()
    if not text or len(text) > 300:
        return None
    if word.kind == "import":
        for name, vendor in SDKS.items():
            if text == name or text.startswith((f"{name}.", f"{name}/")):
                return Meaning("sdk", vendor, f"imports {name}")
        return None
    if text in KEYS:
        return Meaning("key", KEYS[text], "names its API key")
    for host, vendor in HOSTS.items():
        if host in text and " " not in text:
            return Meaning("endpoint", vendor, f"calls {host}")
    bare = _PREFIX.sub("", text)
    if retirements.find(text):
        return Meaning("model_id", _vendor(bare), "a model id with a known shutdown date", text)
    for pattern, vendor in _IDS:
        if pattern.fullmatch(bare):
            return Meaning("model_id", vendor, "spelt like a model id", text)
    return None


def _vendor(bare: str) -> str:
    return next(
        (vendor for pattern, vendor in _IDS if pattern.fullmatch(bare)), retirements.find(bare)[0].vendor
    )
