import pytest
from tests.workflows.incumbent.test_scan import DAY

from freehold.catalog.retirements import HOLE
from freehold.workflows.incumbent.meaning import Meaning, Word, completions, meaning
from freehold.workflows.incumbent.scan import scan


@pytest.mark.process
@pytest.mark.parametrize("text", ["gpt-sw3-7b", "openai/whisper-large-v3", "gpt-oss-20b", "gpt-neo-2.7B"])
def test_open_models_with_such_names_are_no_rented_ones(tmp_path, text):
    (tmp_path / "a.py").write_text(f'm = "{text}"\n')
    assert not scan(tmp_path, as_of=DAY).findings


@pytest.mark.parametrize(
    ("text", "kind", "vendor"),
    [
        ("gpt-4o-2024-08-06", "model_id", "OpenAI"),
        ("ft:gpt-4o-mini-2024-07-18:acme::x", "model_id", "OpenAI"),
        ("azure/gpt-4o", "model_id", "OpenAI"),
        ("o3-mini", "model_id", "OpenAI"),
        ("us.anthropic.claude-3-5-sonnet-20240620-v1:0", "model_id", "Anthropic on Bedrock"),
        ("claude-sonnet-4-5@20250929", "model_id", "Anthropic"),
        ("gemini-2.0-flash", "model_id", "Google"),
        ("grok-3", "model_id", "xAI"),
        ("mistral-large-latest", "model_id", "Mistral AI"),
        ("https://api.cohere.com/v2", "endpoint", "Cohere"),
        ("ANTHROPIC_API_KEY", "key", "Anthropic"),
    ],
)
def test_a_string_is_an_id_an_endpoint_or_a_key(text, kind, vendor):
    found = meaning(Word(f" {text} ", 1, 1, "string"))
    assert (found.kind, found.vendor, found.model) == (kind, vendor, text if kind == "model_id" else None)


@pytest.mark.parametrize(
    "text", ["", "we compared gpt-4o with others", "see https://api.openai.com today", "x" * 301, "openai"]
)
def test_a_mention_is_not_a_use(text):
    assert meaning(Word(text, 1, 1, "string")) is None


def test_an_import_counts_by_its_package():
    assert meaning(Word("openai.types.chat", 1, 1, "import")) == Meaning("sdk", "OpenAI", "imports openai")
    assert meaning(Word("@anthropic-ai/sdk/resources", 1, 1, "import")).vendor == "Anthropic"
    assert meaning(Word("openai_extras", 1, 1, "import")) is None
    assert meaning(Word("gpt-4o", 1, 1, "import")) is None


@pytest.mark.parametrize(
    ("name", "language", "vendor"),
    [
        ("google.genai", "python", "Google"),
        ("groq-sdk", "javascript", "Groq"),
        ("ai", "javascript", "several"),
        ("ai/rsc", "javascript", "several"),
        ("@ai-sdk/google-vertex", "javascript", "Google"),
        ("@langchain/google-genai", "javascript", "Google"),
        ("langchain_groq", "python", "Groq"),
        ("langchain_aws.chat_models", "python", "Amazon Bedrock"),
        ("llama_index.llms.anthropic", "python", "Anthropic"),
        ("llama_index.core", "python", "several"),
        ("litellm", "python", "several"),
        ("github.com/openai/openai-go/option", "go", "OpenAI"),
        ("com.openai.client.OpenAIClient", "java", "OpenAI"),
        ("OpenAI.Chat", "csharp", "OpenAI"),
        ("async_openai::types", "rust", "OpenAI"),
        ("OpenAI\\Client", "php", "OpenAI"),
        ("ruby_llm", "ruby", "several"),
    ],
)
def test_sdks_of_all_languages_are_known(name, language, vendor):
    found = meaning(Word(name, 1, 1, "import"), language)
    assert (found.kind, found.vendor) == ("sdk", vendor)


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("ai", "python"),
        ("@ai-sdk/react", "javascript"),
        ("langchain_text_splitters", "python"),
        ("google.cloud.storage", "python"),
    ],
)
def test_a_package_of_another_kind_is_none(name, language):
    assert meaning(Word(name, 1, 1, "import"), language) is None


@pytest.mark.parametrize(
    "text",
    [
        f"gpt-4.1-{HOLE}", "gpt-4.1-", "gpt-4.1-%s", "gpt-4.1-{}", "gpt-4.1-{size}", "gpt-4.1-${SIZE}",
        "gpt-4.1-#{size}",
        "gpt-4.1-$size", "gpt-4.1-{{size}}", f"openai/gpt-4.1-{HOLE}", f"{HOLE}/gpt-4.1-{HOLE}",
    ],
)  # fmt: skip
def test_a_partial_name_is_what_it_can_become(text):
    found = meaning(Word(text, 1, 1, "string"))
    assert found.kind == "model_id"
    assert found.model.endswith("gpt-4.1-{…}")
    names = [one.name for one in completions(found.pattern)]
    assert names == [
        "gpt-4.1-2025-04-14", "gpt-4.1-mini", "gpt-4.1-mini-2025-04-14", "gpt-4.1-nano", "gpt-4.1-nano-2025-04-14",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", [f"{HOLE}", f"command-{HOLE}", f"text-{HOLE}", f"my-{HOLE}", f"azure/{HOLE}", "%s"]
)
def test_a_partial_name_that_says_too_little_is_none(text):
    assert meaning(Word(text, 1, 1, "string")) is None


def test_words_of_the_language_are_no_models():
    for text in ("ada", "davinci", "command", "summarize", "imagetext"):
        assert meaning(Word(text, 1, 1, "string")) is None
    assert meaning(Word("cohere/command", 1, 1, "string")).undated.model == "command"
