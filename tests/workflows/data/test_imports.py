"""What becomes of a file of logged traffic: sound records become traces, bad ones are named with their line."""

import gzip
import json
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.errors import InputError
from freehold.store import open_store
from freehold.types.config import DataConfig
from freehold.types.progress import Silent
from freehold.workflows.data.imports import import_file, preview_file
from freehold.workflows.project import open_project

CONFIG = '[app]\nname = "inbox"\n[curate]\npersonal_data = "patterns"\n'


def good(number):
    asked = f"question {number * 7919} about lamp {chr(97 + number % 26) * 7}"
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": f"answer {number % 3}"}]
    return json.dumps({"messages": turns}).encode()


def chat(*turns, **more):
    return json.dumps(
        {"messages": [{"role": role, "content": said} for role, said in turns], **more}
    ).encode()


CALL = {"id": "c", "type": "function", "function": {"name": "find", "arguments": '{"order": '}}
BAD = {
    "empty answer": (chat(("user", "x"), ("assistant", "")), "empty"),
    "roles out of order": (chat(("assistant", "x"), ("tool", "y"), ("assistant", "z")), ""),
    "broken tool call": (
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": "x"},
                    {"role": "assistant", "content": None, "tool_calls": [CALL]},
                ]
            }
        ).encode(),
        "not JSON",
    ),
    "not UTF-8": (b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}', "UTF-8"),
    "not JSON": (b'{"messages": [', "not valid JSON"),
    "ten megabytes": (chat(("user", "x" * 10_000_000), ("assistant", "y")), "at most"),
    "no answer": (chat(("user", "x")), ""),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args):
    result = CliRunner().invoke(cli, args, standalone_mode=False)
    if result.exception:
        raise result.exception
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", BAD)
def test_one_bad_record_costs_itself_only(folder, name):
    record, reason = BAD[name]
    lines = [*(good(n) for n in range(30)), record, *(good(n) for n in range(30, 60))]
    (folder / "log.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    (found,) = run("import", "log.jsonl", "--json")
    assert (found["read"], found["rejected"]) == (60, 1)
    assert found["first_rejects"][0].startswith("line 31: ") and reason in found["first_rejects"][0]
    dataset = run("dataset", "build", "--json")
    assert sum(split["samples"] for split in dataset["splits"]) == 60


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress], ids=["gz", "zst"])
def test_of_an_archive_that_breaks_off_what_came_before_is_kept(folder, pack):
    whole = pack(b"\n".join(good(n) for n in range(4000)))
    (folder / "log.jsonl.pack").write_bytes(whole[: len(whole) * 3 // 4])
    (found,) = run("import", "log.jsonl.pack", "--json")
    assert found["read"] > 500 and found["rejected"] >= 1
    assert any("ends early or is damaged" in line for line in found["first_rejects"])


@pytest.mark.parametrize("name", ["log.csv.gz", "log.jsonl.gz"])
def test_an_archive_cut_off_at_its_beginning_is_an_error_that_says_so(folder, name):
    (folder / name).write_bytes(gzip.compress(b"text,label\nquestion,yes\n" * 100)[:12])
    with pytest.raises(InputError, match="compressed file ended"):
        run("import", "--dry-run", name, "--json")


def test_one_class_only_is_built_and_warned_of(folder):
    turns = [
        chat(("user", f"question {n * 7919} {chr(97 + n % 26) * 7}"), ("assistant", "yes")) for n in range(60)
    ]
    (folder / "log.jsonl").write_bytes(b"\n".join(turns))
    run("import", "log.jsonl", "--json")
    card = run("dataset", "check", "--json")
    assert any("have the same answer" in warning for warning in card["warnings"])


CHATS = b"\n".join(good(n) for n in range(30))


@pytest.fixture
def project(folder):
    (folder / "log.jsonl").write_bytes(CHATS)
    return open_project()


def test_a_file_imported_twice_adds_nothing(project, folder):
    first = import_file(project, folder / "log.jsonl", progress=Silent())
    assert (first.read, first.new, first.rejected, first.rejects_file) == (30, 30, 0, None)
    assert first.holds == {"answer": 30}
    again = import_file(project, folder / "log.jsonl", progress=Silent())
    assert (again.read, again.new) == (30, 0)
    held = import_file(project, folder / "log.jsonl", held_out=True, progress=Silent())
    assert held.new == 30, "kept for evaluation they are other traces"


def test_a_preview_stores_nothing(project, folder):
    found = preview_file(project, folder / "log.jsonl", count=2, held_out=True)
    assert len(found.first) == 2 and found.first[0].metadata["split"] == "held_out"
    assert found.first[0].source == "import:log.jsonl#1"
    with open_store(project.store_url) as store:
        assert store.count_traces(complete_only=False) == 0


def test_answers_may_be_what_is_right(project, folder):
    data = DataConfig(answers="gold")
    found = import_file(project, folder / "log.jsonl", data=data, progress=Silent())
    assert found.holds == {"right answer": 30}
    with open_store(project.store_url) as store:
        trace = next(iter(store.traces()))
    assert trace.gold.startswith("answer") and trace.response is None


def test_rejects_are_kept_and_an_import_without_any_clears_them(project, folder):
    (folder / "log.jsonl").write_bytes(CHATS + b"\n{\n")
    found = import_file(project, folder / "log.jsonl", progress=Silent())
    assert found.rejected == 1 and len(Path(found.rejects_file).read_bytes().splitlines()) == 1
    (folder / "log.jsonl").write_bytes(CHATS)
    import_file(project, folder / "log.jsonl", progress=Silent())
    assert not Path(found.rejects_file).exists()
