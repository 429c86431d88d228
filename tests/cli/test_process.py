"""What the system refuses a command or lacks, and what a closed pipe does."""

import json
import os
import signal
import subprocess
import sys

import pytest
from tests.cli.test_documents import COMMANDS

from freehold import __version__
from freehold.cli.ending import unix_error


@pytest.mark.parametrize("words", [("--version", "--json"), ("--json", "--version")])
def test_programs_get_a_document(freehold, words):
    ran = freehold(*words)
    told = json.loads(ran.out)
    assert ran.code == 0 and told["schema"] == "freehold.version/1" and told["version"] == __version__
    assert told["python"].startswith("3.") and told["system"]


@pytest.mark.process
@pytest.mark.parametrize(
    ("words", "errors_too"), [("--help", False), ("settings --keys --json", False), ("no-such --json", True)]
)
def test_a_closed_pipe(words, errors_too):
    read, write = os.pipe()
    os.close(read)
    try:
        command = [sys.executable, "-m", "freehold", *words.split()]
        ended = subprocess.run(
            command, stdout=write, stderr=write if errors_too else subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(write)
    assert ended.returncode == 141, ended
    assert errors_too or ("Traceback" not in ended.stderr and "Exception ignored" not in ended.stderr), ended


@pytest.mark.parametrize("look", [lambda: signal.SIGNOWHERE, lambda: os.fork_nowhere])
def test_a_call_or_signal_of_unix(look):
    with pytest.raises(AttributeError) as raised:
        look()
    told = unix_error(raised.value)
    assert "needs Linux or macOS" in told.message and raised.value.name in told.message
    assert "WSL 2" in told.hint


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
