import json

import pytest
from click.testing import CliRunner
from tests.wire.test_otlp import TOOL, rich
from tests.workflows.shift.shifting import START, mirrored, trace

from freehold.cli.main import cli
from freehold.errors import UsageError
from freehold.store import audit, open_store
from freehold.workflows.data.feedback import Said, give


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "x"\n')
    (tmp_path / ".freehold").mkdir()
    with open_store(f"sqlite:///{tmp_path / '.freehold' / 'freehold.sqlite'}") as store:
        store.add_traces([rich(), *mirrored(5), trace(7, completeness="client_aborted", route="other")])
    return lambda *words: CliRunner().invoke(cli, ["traces", *words])


def test_the_commands(run, tmp_path):
    assert run("list").stdout.count("\n") == 4 and "client_aborted" in run("list").stdout
    assert run("list", "--route", "other", "-n", "1").stdout.count("\n") == 1
    assert "leave out a filter" in run("list", "--since", "5m").stderr
    parent = json.loads(run("list", "--json").stdout)["items"][2]
    shown = run("show", parent["id"])
    assert "question 5" in shown.stdout and "mirrored" in shown.stdout
    assert json.loads(run("show", parent["id"], "--json").stdout)["id"] == parent["id"]
    assert "4 traces in out.jsonl" in run("export", "out.jsonl").stdout
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["request"]["tools"] == [TOOL]
    made = json.loads(run("export", "s.jsonl", "--format", "otel", "--json").stdout)
    assert made["traces"] == 4
    spans = json.loads((tmp_path / "s.jsonl").read_text())["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert len(spans) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "nix"), "no trace has an id starting with nix"),
        (("show", ""), "several traces have"),
        (("list", "--since", "yesterday"), "'yesterday' is not a time"),
        (("export", "/nowhere/x.jsonl"), "cannot be written"),
    ],
)
def test_embarrassing_input(run, words, message):
    result = run(*words)
    assert result.exit_code and message in result.exception.message
    assert isinstance(result.exception, UsageError) or words[0] == "export"


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        store.add_traces([trace(1, id="one", metadata={"language": "de"})])
        yield store


def said(store, capture="patterns", **words):
    give(store, "one", Said(**words), capture=capture, who="ada", at=START)
    return store.get_trace("one")


def test_it_is_kept_with_the_trace_after_redaction(store):
    found = said(store, thumb="down", gold="write to eve@example.com", comment="eve@example.com was right")
    assert found.gold == "write to <EMAIL>" and found.metadata["language"] == "de"
    assert found.metadata["feedback"]["comment"] == "<EMAIL> was right"
    later = said(store, capture="raw", comment="eve@example.com")
    assert later.gold == "write to <EMAIL>" and later.metadata["feedback"]["thumb"] == "down"
    assert later.metadata["feedback"]["comment"] == "eve@example.com", "as capture says"


def test_that_it_was_given_is_noted_and_not_what(store):
    said(store, gold="the right answer")
    (entry,) = audit.entries(store.database)
    assert (entry.action, entry.subject, entry.who) == ("trace.feedback", "one", "ada")
    assert "right answer" not in str(entry)


def test_nothing_said_and_a_trace_that_is_gone_are_errors(store):
    with pytest.raises(UsageError, match="nothing was said"):
        said(store)
    with pytest.raises(UsageError, match="not here any more"):
        give(store, "two", Said(thumb="up"), capture="off", who="ada", at=START)
