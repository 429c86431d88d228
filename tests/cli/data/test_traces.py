"""Traces are listed, found, shown, exported and removed; tasks are found in them."""

import json

import pytest
from benchmarks.mixed_log import as_record, mixed_log
from tests.cli.conftest import pair, write_lines


def test_the_latest_are_listed_and_one_is_shown_by_the_beginning_of_its_id(freehold, traffic):
    found = freehold("traces", "list", "-n", "3", "--json").items
    assert len(found) == 3
    shown = freehold("traces", "list", "-n", "3").out.splitlines()
    assert [line.split()[0] for line in shown] == [trace["id"] for trace in found]
    (trace,) = freehold("traces", "list", "-n", "1", "--json").items
    assert freehold("traces", "show", trace["id"][:12], "--json").fields == trace
    shown = freehold("traces", "show", trace["id"][:12]).out
    assert f"trace         {trace['id']}" in shown
    assert shown.endswith("\nassistant: yes\n")


def test_they_are_exported(freehold, traffic):
    made = freehold("traces", "export", "out.jsonl", "--json").json
    assert (made["traces"], made["format"]) == (80, "jsonl")
    assert freehold("traces", "export", "spans.jsonl", "--format", "otel", "--json").json["traces"] == 80
    (group,) = json.loads((traffic / "spans.jsonl").read_text())["resourceSpans"]
    assert len(group["scopeSpans"][0]["spans"]) == 80
    lines = (traffic / "out.jsonl").read_text().splitlines()
    assert len(lines) == 80 and all(json.loads(line)["id"] for line in lines)
    begun, noted = freehold("audit", "--action", "export", "--json").items[:2]
    assert begun["action"] == "export.begin" and noted["detail"]["begun"] == begun["number"]
    assert (noted["subject"], noted["detail"]["traces"], noted["detail"]["content"]) == ("traces", 80, True)


def test_those_of_a_file_are_removed_with_what_was_made_from_them(freehold, refused, traffic):
    (traffic / "more.jsonl").write_text(
        '{"messages": [{"role": "user", "content": "more?"}, {"role": "assistant", "content": "no"}]}'
    )
    freehold("import", "more.jsonl")
    would = freehold("forget", "--source", "traffic.jsonl", "--dry-run", "--json").json
    assert (would["traces"], would["by"]) == (80, "source")
    gone = freehold("forget", "--source", "import:traffic.jsonl", "--yes", "--json")
    assert (gone.json["traces"], gone.json["by"]) == (80, "source")
    (left,) = freehold("traces", "list", "--json").items
    assert left["source"] == "import:more.jsonl#1"
    refused("forget", "--source", "none.csv", "--yes", message="nothing here is of that source", hint="")


@pytest.fixture
def log(freehold, project, tmp_path):
    rows = []
    for number, (user, said) in enumerate(
        [("ada", "refund for order 88"), ("ada", "where is it"), ("bob", "refund please")]
    ):
        rows.append(pair(said, "done", model="m"))
        rows[-1]["request"]["user"] = user
        rows[-1]["response"]["id"] = f"chatcmpl-{number}"
    write_lines(tmp_path / "log.jsonl", rows)
    freehold("import", tmp_path / "log.jsonl")


@pytest.mark.parametrize(
    ("options", "users"),
    [
        (("--user", "ada"), ["ada", "ada"]),
        (("--text", "refund"), ["bob", "ada"]),
        (("--text", '"order 88"', "--user", "ada"), ["ada"]),
        (("--text", "ref* done"), ["bob", "ada"]),
        (("--upstream-id", "chatcmpl-2"), ["bob"]),
        (("--status", "2xx", "--arm", "incumbent", "--model", "m"), ["bob", "ada", "ada"]),
        (("--status", "error"), []),
        (("--user", "ada", "-n", "1"), ["ada"]),
    ],
)
def test_traces_are_found(freehold, log, options, users):
    found = freehold("traces", "list", *options, "--json").items
    assert [one["request"]["user"] for one in found] == users
    shown = freehold("traces", "list", *options)
    assert [line.split()[0] for line in shown.out.splitlines()] == [one["id"] for one in found]
    assert bool(found) or "leave out a filter" in shown.err


def test_what_cannot_be_looked_for_is_refused(refused, log):
    refused("traces", "show", "nix", message="no trace has an id starting with nix")
    refused("traces", "show", "", message="several traces have")
    refused("traces", "export", "/nowhere/x.jsonl", message="cannot be written")
    refused(
        "traces", "list", "--status", "bad", message="'bad' is not a status", hint="404, 4xx, 5xx or error"
    )
    refused("traces", "list", "--text", "?", message="not a word", hint="letters and digits")
    for long_ago in ("soon", "9999999d", "99999999999999999999d", "9" * 5000 + "d"):
        refused("traces", "list", "--since", long_ago, message="not a time", hint="7d")
    refused("traces", "list", "--text", "", message="not a word", hint="letters and digits")


def test_what_was_forgotten_is_not_found(freehold, log):
    freehold("forget", "--user", "ada", "--yes")
    (left,) = freehold("traces", "list", "--text", "refund", "--json").items
    assert left["request"]["user"] == "bob"
    assert freehold("traces", "list", "--user", "ada").out == ""


@pytest.fixture
def mixed(tmp_path):
    file = tmp_path / "log.jsonl"
    write_lines(file, map(as_record, mixed_log(6, requests=300, tasks=5)))
    return file


def test_tasks_of_a_file_are_shown(freehold, mixed):
    shown = freehold("tasks", str(mixed)).out
    assert "5 tasks in 300 requests over 29.9 days" in shown
    assert "1. " in shown and "score     narrow" in shown and "lora" in shown
