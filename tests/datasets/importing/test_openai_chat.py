"""Fine-tuning files."""

from tests.datasets.importing.exports import ASKED, CALL, SAID, TOOL, answer, one

CALLED = [
    *ASKED,
    {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "c2"}]},
    {"role": "tool", "tool_call_id": "c1", "content": "found"},
    {"role": "tool", "tool_call_id": "c2", "content": "lost"},
]


def test_fine_tuning_file_with_weights_and_parallel_tool_calls(tmp_path):
    record = {
        "messages": [*CALLED, {**SAID, "weight": 0}],
        "tools": [TOOL],
        "parallel_tool_calls": True,
        "language": "en",
    }
    format, found = one(tmp_path, record)
    assert format == "openai"
    assert found.request["messages"] == CALLED
    assert found.request["tools"] == [TOOL] and found.request["parallel_tool_calls"] is True
    assert answer(found)["weight"] == 0
    assert found.metadata == {"language": "en"}


def test_old_function_calls_become_tool_calls(tmp_path):
    record = {
        "messages": [
            *ASKED,
            {"role": "assistant", "content": None, "function_call": {"name": "find", "arguments": "{}"}},
            {"role": "function", "name": "find", "content": "found"},
            SAID,
        ],
        "functions": [TOOL["function"]],
    }
    _, found = one(tmp_path, record)
    assert found.request["tools"] == [TOOL]
    assert [m["role"] for m in found.request["messages"]] == ["system", "user", "assistant", "tool"]
    assert found.request["messages"][2]["tool_calls"][0]["id"] == found.request["messages"][3]["tool_call_id"]


def test_reinforcement_file_has_a_right_answer(tmp_path):
    _, found = one(tmp_path, {"messages": ASKED, "reference_answer": {"order": 1}})
    assert (found.gold, found.response) == ('{"order":1}', None)
