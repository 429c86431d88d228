"""Logs that go wrong as agents' logs do, through the commands: tasks, import --dry-run, import, dataset build."""

import base64
import json
import random
from datetime import UTC, datetime, timedelta

import pytest

TOOLS = [
    {
        "type": "function",
        "function": {"name": "find_order", "parameters": {"type": "object", "properties": {}}},
    }
]
MODEL = "gpt-4o-2024-08-06"
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def said(text):
    return {"role": "assistant", "content": text}


def asked(text):
    return {"role": "user", "content": text}


def system(text):
    return {"role": "system", "content": text}


def called(id, name="find_order", **arguments):
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "tool_calls": [{"id": id, "type": "function", "function": function}]}


class Log:
    """Records of a log, a minute apart."""

    def __init__(self):
        self.records = []

    def add(self, messages, answer, **more):
        at = BEGIN + timedelta(minutes=len(self.records))
        self.records.append({
            "request": {"model": MODEL, "messages": list(messages), **more},
            "response": {
                "object": "chat.completion",
                "created": int(at.timestamp()),
                "choices": [{"index": 0, "message": answer, "finish_reason": "stop"}],
            },
        })  # fmt: skip


@pytest.fixture
def built(freehold, project):
    """Import a log and build a dataset of it; what the forecast said, and the dataset's samples by split."""

    def run(log):
        config = project / "freehold.toml"
        # Questions that a loop writes are all alike, which is not what is tried here.
        config.write_text(config.read_text().replace("[curate]", "[curate]\nnear_duplicates = 0"))
        path = project / "log.jsonl"
        path.write_text("".join(json.dumps(one) + "\n" for one in log.records))
        told = freehold("import", "--dry-run", path, "--json")
        assert told.code == 0, told
        (foretold,) = told.items
        assert freehold("import", path).code == 0
        made = freehold("dataset", "build", "--json")
        assert made.code == 0, made
        folder = project / made.json["path"]
        splits = {
            one["name"]: [json.loads(line) for line in (folder / one["file"]).read_text().splitlines()]
            for one in made.json["splits"]
        }
        return foretold, made.json, splits

    return run


def splits_of(splits, key):
    """The splits in which samples are found, by what `key` says of their messages."""
    found = {}
    for name, samples in splits.items():
        for sample in samples:
            found.setdefault(key(sample), set()).add(name)
    return found


def first_question(sample):
    return next(one["content"] for one in sample["messages"] if one["role"] == "user")


def test_sessions_that_branch_are_one_and_never_torn(built):
    log = Log()
    for n in range(40):
        opening = [
            system("Help with orders."),
            asked(f"where is my parcel number {n * 31}?"),
            said(f"In town {n}."),
        ]
        log.add(opening[:2], opening[2])
        log.add([*opening, asked("and when does it come?")], said(f"On day {n}."))
        log.add([*opening, asked("cancel it then")], said(f"Parcel {n} is cancelled."))
    _, _, splits = built(log)
    where = splits_of(splits, first_question)
    assert len(where) == 40 and all(len(one) == 1 for one in where.values())
    groups = splits_of(splits, lambda one: (one["group"], first_question(one)))
    assert len(groups) == 40, "a branch is of its session's group"


def test_a_result_before_its_call_is_rejected_with_its_line_and_the_rest_stays(built, freehold):
    log = Log()
    for n in range(40):
        log.add([asked(f"is article {n * 17} there?")], said(f"Article {n} is there."))
    result = {"role": "tool", "tool_call_id": "c1", "content": "sent"}
    log.add([asked("check it"), result, called("c1")], said("It was sent."))
    foretold, _, splits = built(log)
    assert foretold["left_out"] == {
        "messages[…]: roles out of order: a tool's result, but no call before it": 1
    }
    (reject,) = freehold("import", "log.jsonl", "--json").items[0]["first_rejects"]
    assert reject.startswith("line 41: messages[1]: roles out of order")
    assert sum(map(len, splits.values())) == 40


def test_a_call_to_a_tool_that_was_not_offered_is_not_taught_and_counted(built):
    log = Log()
    for n in range(40):
        log.add([asked(f"where is order {n * 13}?")], called(f"c{n}", order=n), tools=TOOLS)
    for n in range(5):
        log.add([asked(f"refund invoice {n * 91}")], called(f"r{n}", "refund_now", invoice=n), tools=TOOLS)
    _, made, splits = built(log)
    why = "the answer calls a tool that was not offered"
    assert made["dropped"][why] == 5
    assert not any("refund_now" in json.dumps(one) for samples in splits.values() for one in samples)
    assert sum(map(len, splits.values())) == 40


def test_pictures_are_parts_of_the_question_and_go_where_they_were(built, freehold):
    log, draw = Log(), random.Random(1)
    urls = ["data:image/png;base64," + base64.b64encode(draw.randbytes(3000)).decode() for _ in range(40)]
    for n, url in enumerate(urls):
        parts = [
            {"type": "text", "text": "what is broken?"},
            {"type": "image_url", "image_url": {"url": url}},
        ]
        log.add([system("Look at the picture."), asked(parts)], said(f"the screen of device {n}"))
    _, _, splits = built(log)
    assert sum(map(len, splits.values())) == 40, "the same words with another picture are another question"
    kept = [one["messages"][1]["content"][1]["image_url"]["url"] for part in splits.values() for one in part]
    assert sorted(kept) == sorted(urls), "not a byte of a picture is changed"
    (task,) = freehold("tasks", "log.jsonl", "--json").json["tasks"]
    assert task["requests"] == 40 and "base64" not in json.dumps(task)
