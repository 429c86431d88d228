"""The first two steps of the journey, as a person types them."""

import json

import pytest


@pytest.mark.parametrize("content", ["", "{broken\n", "[1]\n"])
def test_a_file_with_nothing_in_it_is_an_error(refused, project, content):
    (project / "bad.jsonl").write_text(content)
    refused("import", "bad.jsonl", "--format", "pairs", message="bad.jsonl: no record could be used")


def test_what_would_be_left_out_is_said(freehold, traffic):
    with (traffic / "traffic.jsonl").open("a") as file:
        file.write("{broken\n")
    (preview,) = freehold("import", "--dry-run", "traffic.jsonl", "--json").items
    assert sum(preview["left_out"].values()) == len(preview["first_rejects"]) == 1
    assert "1 left out: not valid JSON" in freehold("import", "--dry-run", "traffic.jsonl").out


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
