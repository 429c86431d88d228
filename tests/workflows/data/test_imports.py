"""What becomes of a file of logged traffic: sound records become traces, bad ones are named with their line."""

import gzip
import json
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner
from tests.workflows.journey.rehearsal import Told

from freehold.cli.main import cli
from freehold.errors import InputError
from freehold.progress import Silent
from freehold.store import open_store
from freehold.types.config import DataConfig
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


BAD = {
    "empty answer": (chat(("user", "x"), ("assistant", "")), "empty"),
    "not UTF-8": (b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}', "UTF-8"),
    "ten megabytes": (chat(("user", "x" * 10_000_000), ("assistant", "y")), "at most"),
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
    told = json.loads(result.stdout)
    return told.get("items", told)


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


CHATS = b"\n".join(good(n) for n in range(30))


@pytest.fixture
def project(folder):
    (folder / "log.jsonl").write_bytes(CHATS)
    return open_project()


def test_a_preview_stores_nothing_and_a_file_imported_twice_adds_nothing(project, folder):
    found = preview_file(project, folder / "log.jsonl", count=2, held_out=True)
    assert len(found.first) == 2 and found.first[0].metadata["split"] == "held_out"
    assert found.first[0].source == "import:log.jsonl#1"
    with open_store(project.store_url) as store:
        assert store.count_traces(complete_only=False) == 0
    first = import_file(project, folder / "log.jsonl", progress=Silent())
    assert (first.read, first.new, first.rejected, first.rejects_file) == (30, 30, 0, None)
    assert first.holds == {"answer": 30}
    again = import_file(project, folder / "log.jsonl", progress=Silent())
    assert (again.read, again.new) == (30, 0)
    held = import_file(project, folder / "log.jsonl", held_out=True, progress=Silent())
    assert (held.new, held.replaced) == (0, 30), "kept for evaluation they are the same rows"


def test_the_same_request_at_another_time_is_another_and_paid_for_again(project, folder):
    times = ("2026-11-01T08:00:00Z", "2026-11-02T08:00:00Z", "2026-11-02T08:00:00Z")
    turns = (("user", "where is my parcel"), ("assistant", "in the post"))
    (folder / "timed.jsonl").write_bytes(b"\n".join(chat(*turns, created_at=time) for time in times))
    assert import_file(project, folder / "timed.jsonl", progress=Silent()).new == 2


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


LAMPS = ["red", "green", "blue"]
SYSTEM = "Answer yes or no"


def table(path, golds, *, first=0):
    rows = [
        f'"does lamp {n * 7919} come in {LAMPS[n % 3]}, in size {n}? {chr(97 + n % 26) * 6}",{gold}'
        for n, gold in enumerate(golds, first)
    ]
    path.write_text("\n".join(["text,label", *rows]) + "\n")


def brought(project, path, system=SYSTEM):
    data = DataConfig(system=system, held_out=0.8)
    found = import_file(project, path, data=data, progress=Silent())
    return found.new, found.replaced, found.gone


def built(folder):
    return run("dataset", "build", "--json")


def held_out(dataset):
    return dataset["splits"][2]["samples"]


def test_five_edits_of_the_instructions_leave_the_evidence_as_it_was(project, folder):
    """Each question was counted once more with each edit, as if it were another."""
    table(folder / "rows.csv", ["yes", "no"] * 60)
    assert brought(project, folder / "rows.csv") == (120, 0, 0)
    first = built(folder)
    for number in range(1, 6):
        assert brought(project, folder / "rows.csv", SYSTEM + ", please" * number) == (0, 120, 0)
        again = built(folder)
        assert [one["samples"] for one in again["splits"]] == [one["samples"] for one in first["splits"]]
        assert again["id"] != first["id"] and Path(first["path"]).is_dir()
    assert brought(project, folder / "rows.csv") == (0, 120, 0)
    assert built(folder)["id"] == first["id"], "back at the first instruction: the first dataset"


def test_corrected_labels_are_new_golds_and_contradict_nothing(project, folder):
    golds = ["yes", "no"] * 60
    table(folder / "rows.csv", golds)
    brought(project, folder / "rows.csv")
    first = built(folder)
    golds[3:5] = ["yes", "no"]
    table(folder / "rows.csv", golds)
    assert brought(project, folder / "rows.csv") == (0, 2, 0)
    second = built(folder)
    assert second["id"] != first["id"]
    assert Path(first["path"], "train.jsonl").exists()
    assert not second["dropped"] and run("dataset", "show", "--json")["label_conflicts"] == 0
    said = {}
    for file in Path(second["path"]).glob("*.jsonl"):
        for line in file.read_bytes().splitlines():
            sample = json.loads(line)
            said[sample["messages"][-1]["content"]] = sample["gold"]
    assert sorted(said.values()) == sorted(golds)
    assert len(said) == 120


def test_two_files_that_disagree_are_a_contradiction_and_the_later_one_counts(project, folder):
    table(folder / "rows.csv", ["yes"] * 120)
    table(folder / "corrections.csv", ["no"] * 2)
    brought(project, folder / "rows.csv")
    brought(project, folder / "corrections.csv")
    made = built(folder)
    card = run("dataset", "show", "--json")
    assert card["label_conflicts"] == 2
    golds = [
        json.loads(line)["gold"]
        for file in Path(made["path"]).glob("*.jsonl")
        for line in file.read_bytes().splitlines()
    ]
    assert golds.count("no") == 2 and len(golds) == 120


def test_rows_that_are_gone_from_the_file_are_left_out_and_may_come_back(project, folder):
    table(folder / "rows.csv", ["yes", "no"] * 60)
    brought(project, folder / "rows.csv")
    whole = built(folder)
    table(folder / "rows.csv", ["yes", "no"] * 50)
    assert brought(project, folder / "rows.csv") == (0, 0, 20)
    assert sum(one["samples"] for one in built(folder)["splits"]) == 100
    table(folder / "rows.csv", ["yes", "no"] * 60)
    assert brought(project, folder / "rows.csv") == (20, 0, 0)
    assert built(folder)["id"] == whole["id"]


def test_another_log_under_the_same_name_is_warned_of_and_the_earlier_one_may_come_back(project, folder):
    """As logs are rotated: the rows of the earlier one are left out, which must not go unseen."""
    data, told = DataConfig(system=SYSTEM), Told()
    table(folder / "log.csv", ["yes", "no"] * 50)
    import_file(project, folder / "log.csv", data=data, progress=told)
    (folder / "log.csv").rename(folder / "log.1.csv")
    table(folder / "log.csv", ["yes"] * 8, first=500)
    import_file(project, folder / "log.csv", data=data, progress=told)
    assert [text for text in told.said if "same name" in text] == [
        "warning: 100 of 100 rows of the earlier log.csv are not in it any more, and are left out from now on. Is it "
        "another log under the same name? Import the earlier one under a name of its own, and its rows are back."
    ]
    assert import_file(project, folder / "log.1.csv", data=data, progress=told).new == 100
    assert sum(one["samples"] for one in built(folder)["splits"]) == 108


def test_a_file_is_known_by_its_path_from_the_project(project, folder, monkeypatch):
    for name in ("a", "b"):
        (folder / name).mkdir()
    table(folder / "a" / "rows.csv", ["yes"] * 20)
    table(folder / "b" / "rows.csv", ["no"] * 20, first=20)
    assert brought(project, folder / "a" / "rows.csv") == (20, 0, 0)
    assert brought(project, folder / "b" / "rows.csv") == (20, 0, 0)
    monkeypatch.chdir(folder / "a")
    assert brought(project, Path("rows.csv")) == (0, 0, 0)
    assert brought(project, folder / "a") == (0, 0, 0), "a folder's files are the same files"
    with open_store(project.store_url) as store:
        sources = {trace.source.partition("#")[0] for trace in store.traces()}
    assert sources == {"import:a/rows.csv", "import:b/rows.csv"}


def test_rows_with_ids_of_their_own_are_known_by_them(project, folder):
    def write(*rows):
        lines = [json.dumps({"id": id, "input": asked, "label": gold}) for id, asked, gold in rows]
        (folder / "rows.jsonl").write_text("\n".join(lines))

    write(("a", "is it red?", "yes"), ("b", "is it blue?", "no"))
    assert brought(project, folder / "rows.jsonl") == (2, 0, 0)
    write(("b", "is it dark blue?", "no"), ("a", "is it red?", "yes"))
    assert brought(project, folder / "rows.jsonl") == (0, 1, 0)
