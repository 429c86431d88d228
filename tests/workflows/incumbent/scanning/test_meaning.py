import pytest
from tests.workflows.incumbent.test_scan import DAY

from freehold.workflows.incumbent.scan import scan
from freehold.workflows.incumbent.scanning.meaning import Meaning, meaning
from freehold.workflows.incumbent.scanning.word import Word


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
