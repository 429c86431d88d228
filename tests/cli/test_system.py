"""What the system refuses is told in words; freehold's own mistakes are not."""

import errno
import os

import pytest
from tests.cli.test_documents import COMMANDS

from freehold.cli.system import check_words, system_error
from freehold.errors import UsageError

LATIN_1 = os.fsdecode(b"caf\xe9.jsonl")
LONG = "a" * 300


@pytest.mark.parametrize("words", COMMANDS)
def test_a_name_in_another_encoding_is_refused_by_every_command(freehold, words):
    ran = freehold(*words.split(), LATIN_1)
    assert ran.code == 2 and ran.out == "", ran
    assert ran.err.startswith("error: caf\\udce9.jsonl is not UTF-8\nhint: rename ")


def test_a_program_is_told_it_too(freehold):
    told = freehold("import", LATIN_1, "--json").json["error"]
    assert (told["message"], told["code"]) == ("caf\\udce9.jsonl is not UTF-8", "usage")


def test_letters_of_every_language_are_fine():
    check_words(["größe 📦.jsonl", "日本", ""])


@pytest.mark.parametrize(
    "words",
    [
        f"fit {LONG}",
        f"license {LONG}",
        f"license Qwen/Qwen3-8B --license {LONG}",
        f"machine {LONG}",
        f"status --config {LONG}",
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


def test_a_folder_in_another_encoding(freehold, traffic):
    """What is found on the way, and was not typed."""
    folder = traffic / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    for name in ("freehold.toml", "traffic.jsonl"):
        (traffic / name).rename(folder / name)
    os.chdir(folder)
    freehold("import", "traffic.jsonl")
    ran = freehold("dataset", "build", "--json")
    assert ran.code == 2 and "is not UTF-8" in ran.json["error"]["message"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "a/b"), "a/b: Permission denied"),
        (OSError(errno.EIO, "Input/output error", b"a"), "a: Input/output error"),
        (OSError(errno.EBADF, "Bad file descriptor", 7), "7: Bad file descriptor"),
    ],
)
def test_words_of_the_system(error, message):
    assert system_error(error).message == message


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), ConnectionResetError(104, "reset"), UnicodeEncodeError("ascii", "é", 0, 1, "ordinal")],
)
def test_mistakes_of_freehold_keep_their_traceback(error):
    assert system_error(error) is None


def test_a_word_that_is_not_text_is_named():
    with pytest.raises(UsageError, match="is not UTF-8"):
        check_words(["import", LATIN_1])
