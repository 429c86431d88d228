"""Tools that make a project of a log."""

import json

import pytest

from freehold.errors import UsageError


def test_from_a_log_to_a_dataset(use):
    (read,) = use("import_traffic")["list"]
    assert read["new"] == 400
    assert use("import_traffic", files=["traffic.jsonl"])["list"][0]["new"] == 0
    assert use("read", kind="dataset")["splits"]
    built = use("make", kind="dataset")
    assert sum(split["samples"] for split in built["splits"]) == 400
    assert use("make", kind="dataset")["id"] == built["id"]


def test_a_draft_never_takes_the_place_of_a_file_that_is_there(folder, use):
    before = (folder / "freehold.toml").read_text()
    with pytest.raises(UsageError, match=r"freehold.toml"):
        use("draft_project", files=["traffic.jsonl"])
    assert (folder / "freehold.toml").read_text() == before
    (folder / "freehold.toml").unlink()
    draft = use("draft_project", files=["traffic.jsonl"], incumbent="gpt-4o")
    assert draft["path"] == str(folder / "freehold.toml")


def test_words_of_rejected_lines_are_left_out(folder, use):
    (folder / "odd.jsonl").write_text('{"message": "my number is 4711", "gold": {"x": 1}\n' * 3)
    with pytest.raises(UsageError):
        use("import_traffic", files=["gone.jsonl"])
    made = use("import_traffic", files=["odd.jsonl"])
    assert "4711" not in json.dumps(made)


def test_a_fine_tuning_file_becomes_a_project_and_no_api_is_asked(folder, use):
    (folder / "freehold.toml").unlink()
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"lamp {n}"},
                {"role": "assistant", "content": "ab"[n % 2]},
            ]
        }
        for n in range(200)
    ]
    (folder / "tuning.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = use("prepare_rescue", file="tuning.jsonl", model="ft:gpt-4o-mini-2024-07-18:acme::abc123")
    assert made["samples"]["held_out"] and "asking" not in made
