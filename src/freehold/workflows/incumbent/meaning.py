"""What a string or an import says about rented models: a model's id, an SDK, an endpoint, a key's name; and the names
by which code shows whose models it uses: SDKs by package, addresses, environment variables of keys.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from freehold.catalog import retirements
from freehold.catalog.retirements import HOLE, Platform, Retirement, UndatedRetirement
from freehold.types.application import ModelUseKind

SHOWN_HOLE = "{…}"


class Word(NamedTuple):
    """A string or an imported name. Lines and columns count from 1. In `text`, `HOLE` stands for each part that is
    known only when the program runs."""

    text: str
    line: int
    column: int
    kind: Literal["string", "import"]


def shown(text: str) -> str:
    """A text with holes as it is printed."""
    return text.replace(HOLE, SHOWN_HOLE)


SDKS: dict[str, str] = {
    # Python
    "openai": "OpenAI", "anthropic": "Anthropic", "cohere": "Cohere", "google.generativeai": "Google",
    "google.genai": "Google", "vertexai": "Google", "mistralai": "Mistral AI", "groq": "Groq", "litellm": "several",
    "langchain": "several", "langchain_community.chat_models": "several", "llama_index": "several",
    "semantic_kernel": "several", "pydantic_ai": "several", "instructor": "several", "dspy": "several",
    "xai_sdk": "xAI",
    # JavaScript
    "@anthropic-ai/sdk": "Anthropic", "@anthropic-ai/bedrock-sdk": "Anthropic on Bedrock",
    "@anthropic-ai/vertex-sdk": "Anthropic", "@google/generative-ai": "Google", "@google/genai": "Google",
    "@google-cloud/vertexai": "Google", "@mistralai/mistralai": "Mistral AI", "@azure/openai": "OpenAI on Azure",
    "groq-sdk": "Groq", "cohere-ai": "Cohere", "llamaindex": "several",
    "@aws-sdk/client-bedrock-runtime": "Amazon Bedrock",
    "@openrouter/ai-sdk-provider": "several", "openai-edge": "OpenAI",
    # Go
    "github.com/openai/openai-go": "OpenAI", "github.com/sashabaranov/go-openai": "OpenAI",
    "github.com/anthropics/anthropic-sdk-go": "Anthropic", "google.golang.org/genai": "Google",
    "github.com/google/generative-ai-go": "Google", "cloud.google.com/go/vertexai": "Google",
    "github.com/tmc/langchaingo": "several", "github.com/aws/aws-sdk-go-v2/service/bedrockruntime": "Amazon Bedrock",
    "github.com/cohere-ai/cohere-go": "Cohere", "github.com/Azure/azure-sdk-for-go/sdk/ai/azopenai": "OpenAI on Azure",
    # Java and Kotlin
    "com.openai": "OpenAI", "com.theokanning.openai": "OpenAI", "com.aallam.openai": "OpenAI",
    "com.anthropic": "Anthropic",
    "com.google.genai": "Google", "com.google.cloud.vertexai": "Google", "com.azure.ai.openai": "OpenAI on Azure",
    "software.amazon.awssdk.services.bedrockruntime": "Amazon Bedrock", "dev.langchain4j": "several",
    "org.springframework.ai": "several", "com.cohere": "Cohere",
    # C#
    "OpenAI": "OpenAI", "Azure.AI.OpenAI": "OpenAI on Azure", "Anthropic": "Anthropic", "Google.GenAI": "Google",
    "Mscc.GenerativeAI": "Google", "Microsoft.SemanticKernel": "several", "Amazon.BedrockRuntime": "Amazon Bedrock",
    "AWSSDK.BedrockRuntime": "Amazon Bedrock", "Google.Cloud.AIPlatform.V1": "Google",
    # Ruby and PHP
    "ruby-openai": "OpenAI", "ruby_llm": "several", "langchainrb": "several", "openai-php/client": "OpenAI",
    "openai-php/laravel": "OpenAI", "Prism\\Prism": "several", "prism-php/prism": "several",
    "google-gemini-php/client": "Google", "Gemini": "Google",
    # Rust
    "async_openai": "OpenAI", "async-openai": "OpenAI", "aws_sdk_bedrockruntime": "Amazon Bedrock", "rig": "several",
    "rig_core": "several", "genai": "several",
}  # fmt: skip

JAVASCRIPT_ONLY: dict[str, str] = {"ai": "several", "langchain": "several", "llamaindex": "several"}
"""Packages whose names are ordinary words elsewhere."""

_PARTNERS: dict[str, str] = {
    "openai": "OpenAI", "azure_openai": "OpenAI on Azure", "azure": "OpenAI on Azure", "anthropic": "Anthropic",
    "google": "Google", "google_genai": "Google", "google_vertexai": "Google", "google_vertex": "Google",
    "gemini": "Google", "vertex": "Google", "vertexai": "Google", "groq": "Groq", "mistralai": "Mistral AI",
    "mistral": "Mistral AI", "cohere": "Cohere", "aws": "Amazon Bedrock", "bedrock": "Amazon Bedrock",
    "bedrock_converse": "Amazon Bedrock", "amazon_bedrock": "Amazon Bedrock", "xai": "xAI", "deepseek": "DeepSeek",
    "community": "several",
}  # fmt: skip

VENDORS: tuple[tuple[re.Pattern[str], dict[str, str]], ...] = (
    (re.compile(r"langchain_(\w+)"), _PARTNERS),
    (re.compile(r"@langchain/([\w-]+)"), _PARTNERS),
    (re.compile(r"@ai-sdk/([\w-]+)"), _PARTNERS),
    (re.compile(r"@llamaindex/([\w-]+)"), _PARTNERS),
    (re.compile(r"llama_index\.(?:llms|embeddings|multi_modal_llms)\.(\w+)"), _PARTNERS),
)
"""Families of packages with one part a vendor: the first group is the part."""

HOSTS: dict[str, str] = {
    "api.openai.com": "OpenAI", "api.anthropic.com": "Anthropic", "generativelanguage.googleapis.com": "Google",
    "openai.azure.com": "OpenAI on Azure", "services.ai.azure.com": "OpenAI on Azure",
    "aiplatform.googleapis.com": "Google", "api.cohere.ai": "Cohere", "api.cohere.com": "Cohere",
    "api.mistral.ai": "Mistral AI", "api.x.ai": "xAI", "api.groq.com": "Groq", "api.deepseek.com": "DeepSeek",
    "openrouter.ai/api": "several", "bedrock-runtime": "Amazon Bedrock",
}  # fmt: skip

KEYS: dict[str, str] = {
    "OPENAI_API_KEY": "OpenAI", "ANTHROPIC_API_KEY": "Anthropic", "GEMINI_API_KEY": "Google",
    "GOOGLE_API_KEY": "Google", "GOOGLE_GENERATIVE_AI_API_KEY": "Google", "AZURE_OPENAI_API_KEY": "OpenAI on Azure",
    "AZURE_API_KEY": "OpenAI on Azure", "COHERE_API_KEY": "Cohere", "CO_API_KEY": "Cohere",
    "MISTRAL_API_KEY": "Mistral AI", "GROQ_API_KEY": "Groq", "XAI_API_KEY": "xAI", "DEEPSEEK_API_KEY": "DeepSeek",
    "AWS_BEARER_TOKEN_BEDROCK": "Amazon Bedrock", "OPENROUTER_API_KEY": "several",
}  # fmt: skip

SHARED_PARTS: dict[str, Platform] = {"Groq": "groq", "DeepSeek": "deepseek", "xAI": "xai", "Cohere": "cohere"}
"""Vendors whose models have names that others use, too: a file that shows the vendor means that vendor's."""


class Meaning(NamedTuple):
    """`model` is set for ids only, `pattern` for those with a hole in them (`model` shows it as ``{…}``). `row` or
    `undated` is what the catalog knows of the model's end."""

    kind: ModelUseKind
    vendor: str
    how: str
    model: str | None = None
    pattern: str | None = None
    row: Retirement | None = None
    undated: UndatedRetirement | None = None
    is_named: bool = False


_IDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?:ft:)?(?:chat)?gpt-(?!oss|neo|sw3|j\b|2\b)[\w.-]*\d[\w.:-]*"), "OpenAI"),
    (re.compile(r"o[134](?:-(?:mini|pro|preview|deep-research))?(?:-\d{4}-\d\d-\d\d)?"), "OpenAI"),
    (re.compile(r"(?:text-embedding|text-davinci|davinci|babbage|tts|dall-e)-[\w.-]+|whisper-\d"), "OpenAI"),
    (re.compile(r"(?:(?:us|eu|apac|global)\.)?anthropic\.claude-[\w.:-]+"), "Anthropic on Bedrock"),
    (re.compile(r"claude-(?:[\w.-]*\d[\w.-]*)(?:@\d{8})?"), "Anthropic"),
    (re.compile(r"gemini-[\w.-]*\d[\w.-]*"), "Google"),
    (re.compile(r"(?:command-[ra][\w.+-]*|embed-(?:english|multilingual)-[\w.-]+)"), "Cohere"),
    (
        re.compile(r"(?:mistral-(?:large|small|medium|tiny)|codestral|magistral-\w+)-(?:latest|\d{4})"),
        "Mistral AI",
    ),
    (re.compile(r"grok-\d[\w.-]*"), "xAI"),
)
_FAMILY = re.compile(
    r"(?:chat)?gpt-?|o[1345]-|claude-|gemini-|text-(?:embedding|davinci)-|dall-e-|mistral-(?:large|small|medium|tiny)|"
    r"(?:open-)?mi[sx]tral-|(?:code|magi|mini|dev|pix)stral-|ministral-|command-r|llama-?3|grok-|imagen-|veo-|sora-"
)
_PLACEHOLDER = re.compile(r"#?\$?\{\{?[^{}\s]*\}?\}|\$\w+|%(?:\(\w+\))?[sdrv]")


def meaning(word: Word, language: str = "", hosts: frozenset[Platform] = frozenset()) -> Meaning | None:
    """What the word says, or None. A whole string must be the id: text that mentions a model does not use it.

    `hosts` are platforms that the file shows otherwise (an SDK, an address): names which others use, too, count there.
    """
    text = word.text.strip()
    if not text or len(text) > 300:
        return None
    return _sdk(text, language) if word.kind == "import" else _string(text, hosts)


@lru_cache(maxsize=50_000)
def _string(text: str, hosts: frozenset[Platform]) -> Meaning | None:
    if text == "litellm_params":
        return Meaning("sdk", "several", "a configuration of LiteLLM")
    if text.removeprefix("os.environ/") in KEYS:
        return Meaning("key", KEYS[text.removeprefix("os.environ/")], "names its API key")
    if re.search(r"\s", text):
        return None
    for host, vendor in HOSTS.items():
        if host in text:
            return Meaning("endpoint", vendor, f"calls {host}")
    text = _filled(text)
    if HOLE in text:
        return _partial(text)
    return _whole(text, hosts)


def platform_of(found: Meaning) -> Platform | None:
    """The platform that an SDK, an endpoint or a key shows, where its names are shared with others."""
    return SHARED_PARTS.get(found.vendor) if found.kind != "model_id" else None


def _sdk(name: str, language: str) -> Meaning | None:
    if language == "javascript" and (name in JAVASCRIPT_ONLY or name.split("/")[0] in JAVASCRIPT_ONLY):
        return Meaning("sdk", JAVASCRIPT_ONLY[name.split("/")[0]], f"imports {name.split('/')[0]}")
    for pattern, family in VENDORS:
        part = pattern.match(name)
        if part is not None:
            vendor = family.get(part.group(1).replace("-", "_"))
            return None if vendor is None else Meaning("sdk", vendor, f"imports {part.group(0)}")
    at = len(name)
    while at > 0:  # the longest known beginning that ends at a separator
        head = name[:at]
        if head in SDKS:
            return Meaning("sdk", SDKS[head], f"imports {head}")
        at = max(head.rfind(sign) for sign in (".", "/", "::", "\\"))
    return None


def _filled(text: str) -> str:
    """A text with placeholders of formats and templates as holes, and without a hole at its beginning."""
    text = _PLACEHOLDER.sub(HOLE, text)
    if text.startswith(HOLE):
        text = text.lstrip(HOLE).lstrip("/:")
    return text + HOLE if text.endswith("-") else text


def _whole(text: str, hosts: frozenset[Platform]) -> Meaning | None:
    bare, platform = retirements.plain_id(text)
    for row in (*retirements.meant(text), *(row for row in retirements.find(text) if row.platform in hosts)):
        if _counts(row.shared, row.plain_word, row.platform, platform, hosts):
            vendor, how = _vendor(text, bare, row.vendor), "a model id with a known shutdown date"
            return Meaning("model_id", vendor, how, text, row=row)
    undated = retirements.undated(text)
    if undated is not None and _counts(undated.shared, undated.plain_word, undated.platform, platform, hosts):
        how = f"a model id that its vendor calls {'retired' if undated.retired else 'deprecated'}"
        return Meaning("model_id", _vendor(text, bare, undated.vendor), how, text, undated=undated)
    for pattern, vendor in _IDS:
        if pattern.fullmatch(bare):
            named = retirements.active_on(text)
            how = "spelt like a model id" if named is None else "named by its vendor, without an end"
            return Meaning("model_id", vendor, how, text, is_named=named is not None)
    if platform is not None and bare == "*":
        return Meaning("endpoint", platform, f"routes every model of {platform}")
    return None


def _counts(
    shared: bool, plain_word: bool, at: Platform, shown_platform: Platform | None, hosts: frozenset[Platform]
) -> bool:
    """Does a name that is listed on platform `at` mean that model here?"""
    if shown_platform is not None:
        return shown_platform == at
    return not (plain_word or (shared and at not in hosts))


def _partial(text: str) -> Meaning | None:
    name, _ = retirements.plain_id(text)
    if _FAMILY.match(name.lower()) is None or not completions(text):
        return None
    vendor = next((vendor for pattern, vendor in _IDS if pattern.match(name.replace(HOLE, "0"))), "several")
    return Meaning("model_id", vendor, "a model id that is completed at run time", shown(text), text)


class PossibleName(NamedTuple):
    """A name that a partial one can become: with its row, or with what is known without a day, or neither."""

    name: str
    row: Retirement | None
    undated: UndatedRetirement | None


@lru_cache(maxsize=1_000)
def completions(text: str) -> tuple[PossibleName, ...]:
    """All that a name with holes can become, on the platform that shows in it, else with its maker."""
    name, platform = retirements.plain_id(text)
    found = []
    for one in retirements.completions(name):
        rows = [
            row
            for row in retirements.meant(one, platform)
            if _counts(row.shared, row.plain_word, row.platform, platform, frozenset())
        ]
        undated = retirements.undated(one, platform)
        named = retirements.active_on(one)
        if rows or undated is not None or (named is not None and platform in (None, named[0])):
            found.append(PossibleName(one, rows[0] if rows else None, undated))
    return tuple(found)


def _vendor(text: str, bare: str, listed: str) -> str:
    return next(
        (vendor for pattern, vendor in _IDS if pattern.fullmatch(text) or pattern.fullmatch(bare)), listed
    )
