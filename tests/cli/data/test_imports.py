"""The first two steps of the journey, as a person types them."""

import json

import pytest
from click.testing import CliRunner

from freehold.cli.main import cli

CONFIG = """
[app]
name = "inbox"
[incumbent]
model = "rented-1"
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text(CONFIG)
    with (tmp_path / "traffic.jsonl").open("w") as file:
        for number in range(80):
            pair = {
                "request": {"messages": [{"role": "user", "content": f"message {number}"}]},
                "response": {"choices": [{"message": {"role": "assistant", "content": "yes"}}]},
                "gold": "yes" if number % 2 else None,
                "conversation_id": f"c{number // 2}",
            }
            file.write(json.dumps(pair) + "\n")
        file.write("{broken\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args, exit_code=0):
    result = CliRunner().invoke(cli, args, standalone_mode=False)
    if result.exception and exit_code == 0:
        raise result.exception
    return result


def test_import_keeps_rejects_and_is_idempotent(project):
    first = json.loads(run("import", "traffic.jsonl", "--json").stdout)["items"][0]
    assert (first["read"], first["new"], first["rejected"]) == (80, 80, 1)
    reject = json.loads((project / ".freehold/rejects/traffic.rejects.jsonl").read_text())
    assert reject["line"] == 81 and reject["text"] == "{broken\n"
    again = json.loads(run("import", "traffic.jsonl", "--json").stdout)["items"][0]
    assert (again["read"], again["new"]) == (80, 0)


@pytest.mark.parametrize("content", ["", "{broken\n", "[1]\n"])
def test_a_file_with_nothing_in_it_is_an_error(project, content):
    (project / "bad.jsonl").write_text(content)
    result = run("import", "bad.jsonl", "--format", "pairs", exit_code=2)
    assert "no record could be used" in result.exception.message
    assert "bad.jsonl" in result.exception.message


def test_what_would_be_left_out_is_said(project):
    (preview,) = json.loads(run("import", "--dry-run", "traffic.jsonl", "--json").stdout)["items"]
    assert sum(preview["left_out"].values()) == len(preview["first_rejects"]) == 1
    assert "1 left out: not valid JSON" in run("import", "--dry-run", "traffic.jsonl").stdout


@pytest.mark.parametrize("words", [["import"], ["import", "--dry-run"], ["init"]])
def test_a_misspelt_field_is_not_read_as_absent(refused, tmp_path, words):
    rows = [{"question": f"message {n}", "gold": "a", "incumbent": "b"} for n in range(30)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    refused(
        *words,
        "t.jsonl",
        "--label",
        "gould",
        message="no record has a field 'gould'",
        hint="did you mean gold?",
    )
    assert not (tmp_path / ".freehold").exists() or not list((tmp_path / ".freehold").glob("*.sqlite"))
