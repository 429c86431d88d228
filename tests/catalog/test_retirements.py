"""What vendors' documentation says, against what would be asked."""

import datetime
import tomllib
from datetime import date
from importlib.resources import files
from typing import get_args

import pytest

from freehold.catalog import retirements as catalog
from freehold.catalog.retirements import HOLE
from freehold.catalog.vendors import vendor, vendors, with_addresses
from freehold.errors import ConfigError
from freehold.types.config import parse
from freehold.wire.base_url import joined, stem

DAY = date(2026, 11, 27)


@pytest.mark.parametrize(
    ("asked", "plain", "platform"),
    [
        ("ft:gpt-4o-2024-08-06:acme::x", "gpt-4o-2024-08-06", "openai"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "claude-sonnet-4-20250514", "bedrock"),
        ("anthropic.claude-opus-4-1-20250805-v1:0", "claude-opus-4-1-20250805", "bedrock"),
        ("bedrock/us-east-1/anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307", "bedrock"),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-2-1b-instruct-v1:0",
            "meta.llama3-2-1b-instruct-v1:0",
            "bedrock",
        ),
        ("claude-sonnet-4@20250514", "claude-sonnet-4-20250514", "vertex"),
        ("vertex_ai/claude-3-5-haiku@20241022", "claude-3-5-haiku-20241022", "vertex"),
        ("publishers/google/models/gemini-1.5-pro-001", "gemini-1.5-pro-001", "vertex"),
        ("azure/gpt-4o", "gpt-4o", "azure"),
        ("openai/gpt-4o", "gpt-4o", "openai"),
        ("openai:gpt-4o", "gpt-4o", "openai"),
        ("openrouter/openai/gpt-4o", "gpt-4o", "openai"),
        ("groq/qwen/qwen3-32b", "qwen/qwen3-32b", "groq"),
        ("groq/compound", "groq/compound", None),
        ("models/gemini-1.5-pro", "gemini-1.5-pro", "google"),
        ("gpt-4o", "gpt-4o", None),
    ],
)
def test_ids_are_read_as_platforms_write_them(asked, plain, platform):
    assert catalog.plain_id(asked) == (plain, platform)


ENDED = """
openai: text-davinci-003 code-davinci-002 davinci-002 gpt-3.5-turbo gpt-3.5-turbo-0301 gpt-3.5-turbo-0613
    gpt-3.5-turbo-16k-0613 gpt-4 gpt-4-32k gpt-4-vision-preview gpt-4.5-preview o1 o1-mini o1-preview o1-pro o3-mini
    o4-mini
    chatgpt-4o-latest codex-mini-latest dall-e-2 dall-e-3 gpt-4o-audio-preview gpt-4o-realtime-preview gpt-image-1
    sora-2
    text-moderation-latest gpt-4o-2024-05-13 gpt-4.1-nano gpt-5-codex gpt-5.3-chat-latest text-search-ada-doc-001
anthropic: claude-1.3 claude-instant-1.2 claude-2.0 claude-2.1 claude-3-sonnet-20240229 claude-3-opus-20240229
    claude-3-haiku-20240307 claude-3-5-sonnet-20240620 claude-3-5-sonnet-20241022 claude-3-5-haiku-20241022
    claude-3-7-sonnet-20250219 claude-3-7-sonnet-latest claude-sonnet-4-20250514 claude-opus-4-20250514
    claude-opus-4-1-20250805
google: gemini-1.5-pro gemini-1.5-flash gemini-2.0-flash gemini-2.0-flash-lite gemini-2.5-pro-preview-05-06
    gemini-3-pro-preview text-embedding-004 embedding-001 imagen-4.0-generate-001 veo-3.0-generate-001
    gemini-2.0-flash-live-001
mistral: open-mistral-7b open-mixtral-8x7b open-mixtral-8x22b mistral-large-2402 mistral-large-2407 mistral-large-2411
    mistral-medium-2312 mistral-medium-2505 mistral-small-2402 mistral-small-2506 codestral-2405 codestral-2501
    pixtral-12b-2409 ministral-8b-2410 magistral-small-2506 devstral-small-2505 open-mistral-nemo mistral-saba-2502
cohere: rerank-english-v2.0 rerank-multilingual-v2.0 embed-english-v2.0 embed-multilingual-v2.0 c4ai-aya-expanse-8b
groq: llama-3.1-70b-versatile llama3-70b-8192 llama3-8b-8192 mixtral-8x7b-32768 gemma2-9b-it gemma-7b-it
    llama-3.3-70b-versatile llama-3.1-8b-instant qwen-qwq-32b groq/compound deepseek-r1-distill-llama-70b
xai: grok-3 grok-4 grok-4-0709 grok-code-fast-1
deepseek: deepseek-chat deepseek-reasoner
azure: gpt-35-turbo-0301 gpt-35-turbo-16k gpt-4-32k o1 o3 o4-mini claude-haiku-4-5 gpt-5-chat DeepSeek-R1
vertex: text-bison chat-bison textembedding-gecko@003 gemini-1.0-pro gemini-1.5-pro-002 gemini-2.5-pro claude-3-opus
bedrock: claude-3-sonnet-20240229 claude-3-5-haiku-20241022 claude-sonnet-4-20250514 amazon.nova-canvas-v1:0
    cohere.command-r-v1:0 ai21.jamba-1-5-mini-v1:0 meta.llama3-1-405b-instruct-v1:0
"""
"""Page by page, ids that it calls shut down on DAY."""


@pytest.mark.parametrize(
    "page", ENDED.strip().replace("\n    ", " ").splitlines(), ids=lambda line: line.split(":")[0]
)
def test_the_ids_of_a_page_that_have_ended_are_known(page):
    platform, ids = page.split(": ")
    for name in ids.split():
        rows = catalog.find(name, platform)
        assert rows, name
        assert rows[0].days_left(DAY) < 0, name
        assert rows[0].source, name


ENDING = {
    "gpt-image-1.5": date(2026, 12, 1),
    "gpt-image-1-mini": date(2026, 12, 1),
    "chatgpt-image-latest": date(2026, 12, 1),
    "gemini-2.5-pro": date(2026, 12, 1),
    "claude-sonnet-4-5-20250929": date(2026, 11, 30),
    "gpt-5": date(2026, 12, 11),
    "gpt-4o-mini-tts": date(2027, 1, 6),
    "gpt-4.1": date(2027, 1, 14),
    "gpt-5.5-cyber-preview": date(2027, 2, 1),
    "whisper-1": date(2027, 2, 26),
    "gpt-5.1": date(2027, 4, 1),
}


def test_what_is_announced_has_its_day():
    assert {name: catalog.retirement_of(name).shutdown for name in ENDING} == ENDING


def test_fine_tunes_and_aliases_follow_their_base():
    (tuned,) = catalog.find("ft:gpt-4o-2024-08-06:acme::x")
    assert (tuned.shutdown, tuned.days_left(DAY)) == (date(2027, 1, 14), 48)
    assert "fine-tuned" in tuned.fine_tunes
    alias = catalog.find("gpt-4.1-mini")
    assert [(one.platform, one.shutdown) for one in alias] == [
        ("openai", date(2027, 1, 14)),
        ("azure", date(2027, 4, 14)),
    ]


def test_a_hosts_end_is_not_the_makers():
    """Azure ended claude-opus-4-5; Anthropic serves it. An id that names Azure means Azure."""
    assert catalog.retirement_of("claude-opus-4-5") is None
    assert catalog.retirement_of("azure/claude-opus-4-5").platform == "azure"
    assert catalog.meant("claude-opus-4-5", "azure")[0].shutdown < DAY
    assert catalog.retirement_of("gpt-35-turbo-16k").platform == "azure"  # only Azure spells it so


def test_a_day_to_come_from_an_old_copy_is_stale_and_a_past_one_is_true():
    assert catalog.find("gpt-4o", "azure")[0].is_stale(DAY)
    assert not catalog.find("gpt-4o", "openai")[0].is_stale(DAY)
    assert catalog.find("gpt-4o", "openai")[0].is_stale(date(2027, 1, 1))
    assert not catalog.find("text-davinci-003", "openai")[0].is_stale(date(2030, 1, 1))


def test_every_row_has_source_and_one_place():
    seen = set()
    for row in catalog.rows():
        assert row.source
        assert row.as_of <= row.checked
        assert row.checked >= date(2026, 11, 1)
        assert row.announced is None or row.announced <= row.shutdown
        for name in (row.model, *row.aliases):
            key = (name.lower(), row.platform)
            assert key not in seen, key
            seen.add(key)


def test_a_file_for_every_platform_and_no_alias_into_nothing():
    folder = files("freehold.catalog").joinpath("retirements")
    assert {part.name for part in folder.iterdir()} == {f"{name}.toml" for name in get_args(catalog.Platform)}
    for part in folder.iterdir():
        for notice in tomllib.loads(part.read_text(encoding="utf-8"))["notices"]:
            assert set(notice.get("aliases", {}).values()) <= set(notice["models"]), notice
    assert {page.url for _, page in catalog.pages()}


def test_models_without_a_day_are_told_apart():
    assert catalog.undated("grok-beta").retired
    command = catalog.undated("cohere/command-r")
    assert (command.retired, command.deprecated, command.replacement) == (
        False,
        date(2025, 9, 15),
        "command-r-08-2024",
    )
    assert catalog.undated("azure/command-r") is None
    assert catalog.undated("gpt-4o") is None
    assert catalog.active_on("claude-opus-5-5")[0] == "anthropic"
    assert catalog.active_on("gpt-99") is None


def test_a_name_with_holes_becomes_all_that_fit():
    assert catalog.completions(f"gpt-4.1-{HOLE}") == (
        "gpt-4.1-2025-04-14",
        "gpt-4.1-mini",
        "gpt-4.1-mini-2025-04-14",
        "gpt-4.1-nano",
        "gpt-4.1-nano-2025-04-14",
    )
    assert catalog.completions(f"claude-3-{HOLE}-sonnet-{HOLE}")
    assert "o3" not in catalog.completions(f"o{HOLE}")  # says too little
    assert "command" not in catalog.completions(f"comm{HOLE}")  # a word of the language


PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}


@pytest.mark.parametrize("one", vendors().values(), ids=vendors())
def test_a_documented_base_url_reaches_the_documented_path(one):
    assert joined(one.base_url, PATHS[one.api], api=one.api) == one.chat
    assert joined(stem(one.base_url), PATHS[one.api], api=one.api) == one.chat
    assert one.source and one.checked <= datetime.date.today()


def test_a_vendor_that_is_not_known_is_told_with_the_nearest():
    with pytest.raises(ConfigError, match=r"incumbent\.preset is gemni") as error:
        vendor("gemni", "incumbent.preset")
    assert "gemini" in str(error.value.hint)


def said(text):
    return with_addresses(parse(f'[app]\nname = "a"\n{text}'))


def test_a_preset_stands_for_address_and_api():
    config = said(
        '[incumbent]\nmodel = "m"\npreset = "anthropic"\n[[endpoints]]\nname = "x"\npreset = "openrouter"'
    )
    assert (config.incumbent.base_url, config.incumbent.api) == ("https://api.anthropic.com", "anthropic")
    assert config.endpoints[0].base_url == "https://openrouter.ai/api/v1"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('[incumbent]\nmodel = "m"\npreset = "azure"', "each customer of azure has an address of its own"),
        ('[[endpoints]]\nname = "x"', "endpoint x has no base_url"),
    ],
)
def test_an_address_that_is_missing_is_asked_for(text, problem):
    with pytest.raises(ConfigError, match=problem):
        said(text)
