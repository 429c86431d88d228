import pytest
from tests.datasets.importing.lines import CHAT, write

from freehold.datasets.importing import Imported, RejectedRecord, read
from freehold.types.config import DataConfig


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ("{nope", "not valid JSON"),
        ("[1]", "expected a JSON object, got list"),
        ({"messages": []}, "messages is missing or empty"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "role 'wizard'"),
        ({"messages": [{"role": "user", "content": "x"}]}, "not from the assistant"),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": ""}]}, "is empty"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "no user message"),
        ({"messages": [{"role": "user", "content": 3}]}, "content of type int"),
        ({"messages": [{"role": "user"}]}, "has no content"),
        ({**CHAT, "metadata": [1]}, "metadata is not an object"),
    ],
)
def test_bad_records_are_rejected_by_line(tmp_path, record, reason):
    good, bad, again = read(write(tmp_path / "a.jsonl", CHAT, record, CHAT), DataConfig(format="openai"))
    assert isinstance(good, Imported) and isinstance(again, Imported)
    assert isinstance(bad, RejectedRecord)
    assert bad.line == 2
    assert reason in bad.reason


CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}


@pytest.mark.parametrize(
    "history",
    [
        [{"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "c1", "content": "y"}],
        [{"role": "assistant", "content": None, "tool_calls": [CALL]}, {"role": "tool", "content": None}],
        [
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "y"}]},
        ],
        [
            {"role": "assistant", "function_call": CALL["function"]},
            {"role": "function", "name": "find", "content": None},
        ],
        [{"role": "assistant", "content": None, "refusal": "No."}, {"role": "user", "content": "please"}],
    ],
)
def test_what_the_api_allows_is_kept(tmp_path, history):
    turns = [{"role": "user", "content": "x"}, *history, {"role": "assistant", "content": "z"}]
    (found,) = read(write(tmp_path / "a.jsonl", {"messages": turns}), DataConfig(format="openai"))
    assert isinstance(found, Imported)
    assert len(found.request["messages"]) == 3
