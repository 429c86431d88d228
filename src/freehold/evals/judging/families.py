"""Which maker's family a model belongs to, read from its name: a judge favours its own."""

from __future__ import annotations

import re

_FAMILIES: tuple[tuple[str, str], ...] = (
    (r"gpt|chatgpt|davinci|babbage|^o\d|/o\d|text-embedding", "openai"),
    (r"claude", "anthropic"),
    (r"gemini|gemma|palm|bard", "google"),
    (r"llama|vicuna|guanaco|alpaca", "llama"),
    (r"mistral|mixtral|ministral|codestral|magistral", "mistral"),
    (r"qwen|qwq", "qwen"),
    (r"deepseek", "deepseek"),
    (r"phi-?\d", "microsoft"),
    (r"command|aya", "cohere"),
    (r"grok", "xai"),
    (r"smollm", "huggingface"),
    (r"granite", "ibm"),
    (r"olmo|tulu", "ai2"),
)


def family(model: str) -> str | None:
    """The family a model's name tells, None where it tells nothing."""
    name = model.lower()
    return next((maker for pattern, maker in _FAMILIES if re.search(pattern, name)), None)


def same_family(one: str, other: str) -> bool:
    """Whether both names tell the same family. Unknown names count as unrelated."""
    known = family(one)
    return known is not None and known == family(other)
