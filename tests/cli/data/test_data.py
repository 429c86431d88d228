"""Imports, datasets, the store and deletions, as a person types them."""

import io
import sqlite3
import stat

import pytest
from tests.cli.conftest import write_lines
from tests.store.examples import trace
from tests.store.test_care import fill

from freehold.store import open_store


@pytest.fixture
def dataset(freehold, traffic):
    return freehold("dataset", "build", "--json").fields


def test_the_card_says_what_is_in_it(freehold, dataset):
    card = freehold("dataset", "show", dataset["id"][:8], "--json").json
    assert card["dataset_id"] == dataset["id"]
    assert freehold("dataset", "show").out.startswith("#")


@pytest.fixture
def traces(project):
    (project / ".freehold").mkdir()
    url = f"sqlite:///{project}/.freehold/freehold.sqlite"
    with open_store(url) as store:
        store.add_traces([trace(1, id="t-ada-1", user="ada@x.org"), trace(2, id="t-bob-1", user="bob@x.org")])
    return url


def left(url):
    with open_store(url) as store:
        return [one.id for one in store.traces()]


def test_forget_says_what_it_did_and_what_it_cannot_do(freehold, traces):
    ran = freehold("forget", "--user", "ada@x.org", "--dry-run")
    assert ran.code == 0 and ran.out.startswith("would go: 1 traces") and len(left(traces)) == 2
    ran = freehold("forget", "--user", "ada@x.org", "--yes")
    assert ran.code == 0 and "deleted: 1 traces" in ran.out and "outside the project" in ran.out
    assert left(traces) == ["t-bob-1"]
    assert freehold("forget", "--older-than", "1d", "--yes", "--json").json["traces"] == 1


def test_forget_asks_first(freehold, traces, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    ran = freehold("forget", "--user", "ada@x.org")
    assert ran.code != 0 and "would go: 1 traces" in ran.err and len(left(traces)) == 2


def test_what_to_forget_is_said_in_one_way(refused, traces):
    refused("forget", message="say what to forget", hint="--conversation ID")
    refused("forget", "--user", "a", "--trace", "b", message="in one way")
    refused("forget", "--user", "nobody", "--yes", message="nothing here is of that user")


def test_one_trace_goes_by_the_beginning_of_its_id(freehold, refused, traces):
    assert freehold("forget", "--trace", "t-a", "--yes").code == 0 and left(traces) == ["t-bob-1"]
    refused("forget", "--trace", "zzz", "--yes", message="nothing here is of that trace")


def test_the_reason_is_kept_and_names_nobody(freehold, refused, traces):
    refused(
        "forget",
        "--user",
        "ada@x.org",
        "--yes",
        "--why",
        "as Ada@x.org asked",
        message="--why names the user",
    )
    assert len(left(traces)) == 2
    assert freehold("forget", "--user", "ada@x.org", "--yes", "--why", "request 17").code == 0
    entries = freehold("audit", "--action", "forget", "--json").items
    assert {one["why"] for one in entries} == {"request 17"} and "ada@" not in str(entries).casefold()


@pytest.mark.parametrize("content", ["", "{broken\n", "[1]\n"])
def test_a_file_with_nothing_in_it_is_an_error(refused, project, content):
    (project / "bad.jsonl").write_text(content)
    refused("import", "bad.jsonl", "--set", "data.format=pairs", message="bad.jsonl: no record could be used")


def test_what_would_be_left_out_is_said(freehold, traffic):
    with (traffic / "traffic.jsonl").open("a") as file:
        file.write("{broken\n")
    (preview,) = freehold("import", "--dry-run", "traffic.jsonl", "--json").items
    assert sum(preview["left_out"].values()) == len(preview["first_rejects"]) == 1
    assert "1 left out: not valid JSON" in freehold("import", "--dry-run", "traffic.jsonl").out


@pytest.mark.parametrize("words", [["import"], ["import", "--dry-run"], ["init"]])
def test_a_misspelt_field_is_not_read_as_absent(refused, tmp_path, words):
    rows = [{"question": f"message {n}", "gold": "a", "incumbent": "b"} for n in range(30)]
    write_lines(tmp_path / "t.jsonl", rows)
    refused(
        *words,
        "t.jsonl",
        *(["--label", "gould"] if words == ["init"] else ["--set", "data.label=gould"]),
        message="no record has a field 'gould'",
        hint="did you mean gold?",
    )
    assert not (tmp_path / ".freehold").exists() or not list((tmp_path / ".freehold").glob("*.sqlite"))


@pytest.fixture
def store(project):
    (project / ".freehold").mkdir()
    path = project / ".freehold" / "freehold.sqlite"
    fill(f"sqlite:///{path}")
    return path


def spoil(path):
    with sqlite3.connect(path) as holder:
        holder.execute("UPDATE trace_blocks SET body = x'0102' WHERE place = 1")
    holder.close()


def test_check_tells_people_and_monitors(freehold, store):
    ran = freehold("store", "check")
    assert ran.code == 0 and "40 traces" in ran.out and ran.out.endswith("all is well\n")
    spoil(store)
    ran = freehold("store", "check")
    assert (
        ran.code == 1
        and "damaged: trace_blocks 1 (16 traces): it is cut short" in ran.out
        and "hint: " in ran.err
    )
    found = freehold("store", "check", "--json").json
    assert found["damaged"] == [
        {"table": "trace_blocks", "key": "1 (16 traces)", "reason": "it is cut short"}
    ]


def _backed_up(freehold):
    ran = freehold("store", "backup", "--json")
    assert ran.code == 0, (ran.out, ran.err)
    return ran.json["file"]


def test_backup_and_restore_bring_a_store_back(freehold, refused, store, project):
    file = _backed_up(freehold)
    assert "/.freehold/backups/store-" in file
    assert stat.S_IMODE((store.parent / "backups").stat().st_mode) == 0o700
    refused("store", "backup", file, message="exists")
    spoil(store)
    with sqlite3.connect(store) as holder:
        holder.execute("INSERT INTO spending VALUES ('app', '2026-03-01', 5)")
    holder.close()
    ran = freehold("store", "restore", file, "--yes")
    assert ran.code == 0 and "will be lost: 1 spending" in ran.err and "is kept: " in ran.out
    assert freehold("store", "check").code == 0
    assert freehold("store", "check", ran.out.split("kept: ")[1].strip()).code == 1


def test_restore_asks_first_and_changes_nothing_without_an_answer(freehold, store, monkeypatch):
    file = _backed_up(freehold)
    before = store.stat().st_ino
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    ran = freehold("store", "restore", file)
    assert ran.code != 0 and store.stat().st_ino == before


def test_an_older_copy_does_not_bring_a_revoked_key_back(freehold, refused, project):
    """No gateway runs in between, which would have seen the change, and the file beside the store is not up to date."""
    freehold("keys", "add", "app")
    kept = project / ".freehold" / "keys.json"
    backup = _backed_up(freehold)
    before = kept.read_bytes()
    freehold("keys", "revoke", "app")
    assert kept.read_bytes() != before, "a change is known at once"
    kept.write_bytes(before)  # as if the process was killed between the change and this file
    ran = freehold("store", "restore", backup, "--yes", "--json")
    assert ran.code == 0 and "no client gets in until you say so" in ran.err and "keys accept" in ran.err
    for command in (("keys", "list"), ("up", "--model", "m")):
        refused(*command, message="an older copy", hint="freehold keys accept")
    freehold("keys", "accept", "--yes")
    assert "app" in freehold("keys", "list").out
