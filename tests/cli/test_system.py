"""What the system refuses is told in words; freehold's own mistakes are not."""

import os

import pytest
from tests.cli.test_documents import COMMANDS

LATIN_1 = os.fsdecode(b"caf\xe9.jsonl")
LONG = "a" * 300


@pytest.mark.parametrize("words", COMMANDS)
def test_a_name_in_another_encoding_is_refused_by_every_command(freehold, words):
    ran = freehold(*words.split(), LATIN_1)
    assert ran.code == 2 and ran.out == "", ran
    assert ran.err.startswith("error: caf\\udce9.jsonl is not UTF-8\nhint: rename ")


@pytest.mark.parametrize(
    "words",
    [
        f"fit {LONG}",
        f"license {LONG}",
        f"license Qwen/Qwen3-8B --license {LONG}",
        f"import {LONG}",
        f"init {LONG}",
        f"compare --pairs {LONG} --margin 0.02",
        "license bom Qwen/Qwen3-8B --out .",
        "license bom Qwen/Qwen3-8B --out no/such/folder",
    ],
    ids=lambda words: words.replace(LONG, "LONG"),
)
def test_a_path_that_the_system_refuses_is_an_error_in_words(freehold, words):
    ran = freehold(*words.split(), *(() if " bom " in words else ("--json",)))
    assert ran.code != 1 and "Traceback" not in ran.err, ran
    assert "Error: " in ran.err or "error: " in ran.err or ran.code == 3, ran
