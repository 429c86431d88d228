import json
from datetime import UTC, datetime

import click
import msgspec
import pytest
from click.testing import CliRunner
from tests.workflows.prove.test_label import item

from freehold.cli.prove import label
from freehold.workflows.prove.label import LabelSession


def test_keys_label_pairs(tmp_path, monkeypatch, capsys):
    keys = iter("x1u2=sq")
    monkeypatch.setattr(click, "getchar", lambda: next(keys))
    session = LabelSession([item(i) for i in range(6)], tmp_path / "l.jsonl", wanted=6)
    label.ask(session, show_reference=False)
    assert session.progress.labelled == 3
    out = capsys.readouterr().out
    assert "pair 1 of 6" in out
    assert "candidate" not in out
    assert "incumbent" not in out


@pytest.mark.parametrize(("key", "left"), [("n", 0), ("y", 6), ("q", 6)])
def test_hasty_labels_are_kept_only_when_you_say_so(tmp_path, monkeypatch, capsys, key, left):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    keys = iter("111111" + "z" + key)
    monkeypatch.setattr(click, "getchar", lambda: next(keys))
    session = LabelSession([item(i) for i in range(6)], tmp_path / "l.jsonl", wanted=6, clock=lambda: at)
    label.ask(session, show_reference=False)
    label.ask_about_haste(session)
    assert session.progress.labelled == left
    assert "6 labels in 0 s: too fast to have read two answers each" in capsys.readouterr().out


def test_json_tells_how_fast_they_came_and_labels_nothing(tmp_path, monkeypatch):
    results = tmp_path / "r.jsonl"
    results.write_bytes(b"".join(msgspec.json.encode(item(i)) + b"\n" for i in range(3)))
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(label.command, ["--results", str(results), "--out", "l.jsonl", "--json"])
    assert ran.exit_code == 0 and json.loads(ran.stdout) == {
        "schema": "freehold.label/1",
        "path": "l.jsonl", "labelled": 0, "wanted": 3, "median_seconds": None, "hasty": False
    }  # fmt: skip
