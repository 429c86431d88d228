import json

from tests.datasets.importing.exports import ASKED, COMPLETION, TOOL, answer, one, read

from freehold.datasets.importing import PassedOver


def lc(kind, **kwargs):
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", kind], "kwargs": kwargs}


def test_langsmith_runs_of_langchain_and_of_the_openai_wrapper(tmp_path):
    called = lc("AIMessage", content="", tool_calls=[{"name": "find", "args": {"q": "lamp"}, "id": "c1"}])
    run = {
        "id": "r1", "run_type": "llm", "trace_id": "t1", "start_time": "2026-05-01T10:00:00", "error": None,
        "end_time": "2026-05-01T10:00:01",
        "inputs": {"messages": [[lc("SystemMessage", content="Be kind."), lc("HumanMessage", content="lamp?"), called,
                                 lc("ToolMessage", content="found", tool_call_id="c1")]]},
        "outputs": {"generations": [[{"text": "yes", "message": lc("AIMessage", content="yes")}]]},
        "extra": {"metadata": {"thread_id": "s1", "ls_model_name": "gpt-4o"}, "invocation_params": {"tools": [TOOL]}},
    }  # fmt: skip
    format, found = one(tmp_path, run)
    assert (format, found.request["model"], found.conversation_id) == ("langsmith", "gpt-4o", "s1")
    roles = [message["role"] for message in found.request["messages"]]
    assert roles == ["system", "user", "assistant", "tool"]
    assert json.loads(found.request["messages"][2]["tool_calls"][0]["function"]["arguments"]) == {"q": "lamp"}
    assert found.request["tools"] == [TOOL] and found.total_ms == 1000
    wrapped = {
        **run,
        "inputs": json.dumps({"messages": ASKED, "model": "gpt-4o"}),
        "outputs": json.dumps(COMPLETION),
        "extra": json.dumps({"metadata": {}}),
    }
    _, found = one(tmp_path, wrapped)
    assert found.request["messages"] == ASKED and answer(found)["content"] == "on its way"
    _, (chain,) = read(tmp_path, {**run, "run_type": "chain"})
    assert isinstance(chain, PassedOver)


def test_langsmith_examples_are_right_answers(tmp_path):
    record = {
        "inputs": {"question": "lamp?"},
        "outputs": {"answer": "yes"},
        "metadata": {"dataset_split": "test"},
    }
    format, found = one(tmp_path, record)
    assert (format, found.gold, found.response, found.metadata["split"]) == (
        "langsmith",
        "yes",
        None,
        "held_out",
    )
