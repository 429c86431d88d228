import json

import pytest


@pytest.fixture
def log(freehold, project, tmp_path):
    rows = []
    for number, (user, said) in enumerate(
        [("ada", "refund for order 88"), ("ada", "where is it"), ("bob", "refund please")]
    ):
        asked = {"model": "m", "user": user, "messages": [{"role": "user", "content": said}]}
        answer = {
            "id": f"chatcmpl-{number}",
            "choices": [{"message": {"role": "assistant", "content": "done"}}],
        }
        rows.append(json.dumps({"request": asked, "response": answer}))
    (tmp_path / "log.jsonl").write_text("\n".join(rows))
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
        (("--key", "app"), []),
        (("--conversation", "c"), []),
        (("--endpoint", "none"), []),
        (("--slower-than", "2s"), []),
        (("--until", "2020-01-01"), []),
        (("--user", ""), []),
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
    refused(
        "traces", "list", "--status", "bad", message="'bad' is not a status", hint="404, 4xx, 5xx or error"
    )
    refused("traces", "list", "--text", "?", message="not a word", hint="letters and digits")
    refused(
        "traces", "list", "--slower-than", "soon", message="how long something takes", hint="800ms, 2s, 1m"
    )
    refused("traces", "list", "--slower-than", "xs", message="how long something takes", hint="800ms")
    refused("traces", "list", "--until", "soon", message="not a time", hint="7d")
    for long_ago in ("9999999d", "99999999999999999999d", "9" * 5000 + "d"):
        refused("traces", "list", "--until", long_ago, message="not a time", hint="7d")
        refused("traces", "list", "--since", long_ago, message="not a time", hint="7d")
    refused("traces", "list", "--text", "", message="not a word", hint="letters and digits")


def test_what_was_forgotten_is_not_found(freehold, log):
    freehold("forget", "--user", "ada", "--yes")
    (left,) = freehold("traces", "list", "--text", "refund", "--json").items
    assert left["request"]["user"] == "bob"
    assert freehold("traces", "list", "--user", "ada").out == ""


def test_a_store_that_is_not_there_is_not_made(freehold, project, tmp_path):
    assert freehold("traces", "list", "--text", "refund").out == ""
