import tomllib
from datetime import date
from importlib.resources import files
from typing import get_args

import pytest

from freehold.catalog import retirements as catalog
from freehold.catalog.retirements import HOLE

DAY = date(2026, 11, 27)


@pytest.mark.parametrize(
    ("asked", "plain", "platform"),
    [
        ("ft:gpt-4o-2024-08-06:acme::x", "gpt-4o-2024-08-06", "openai"),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", "claude-sonnet-4-20250514", "bedrock"),
        ("bedrock/us-east-1/anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307", "bedrock"),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-2-1b-instruct-v1:0",
            "meta.llama3-2-1b-instruct-v1:0",
            "bedrock",
        ),
        ("claude-sonnet-4@20250514", "claude-sonnet-4-20250514", "vertex"),
        ("vertex_ai/claude-3-5-haiku@20241022", "claude-3-5-haiku-20241022", "vertex"),
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
