import json

from tests.datasets.importing.exports import ASKED, COMPLETION, GENERATION, SAID, TOOL, answer, one, read

from freehold.datasets import importing
from freehold.datasets.importing import PassedOver, RejectedRecord


def test_langfuse_generations(tmp_path):
    format, found = one(tmp_path, GENERATION)
    assert format == "langfuse"
    assert found.request["messages"] == ASKED and found.request["tools"] == [TOOL]
    assert (found.conversation_id, found.usage.completion_tokens) == ("t1", 3)
    assert found.metadata == {"tenant": "a", "observation": "answer"}


def test_langfuse_blob_rows_hold_json_as_text(tmp_path):
    row = {
        "id": "g1", "trace_id": "t1", "type": "GENERATION", "session_id": "s1", "user_id": "u1",
        "start_time": "2026-05-01 10:00:00.000000", "provided_model_name": "gpt-4o",
        "input": json.dumps(ASKED), "output": json.dumps(COMPLETION),
    }  # fmt: skip
    format, found = one(tmp_path, row)
    assert (format, found.conversation_id, found.user) == ("langfuse", "s1", "u1")
    assert answer(found)["content"] == "on its way"
    assert found.at.isoformat() == "2026-05-01T10:00:00+00:00"


def test_langfuse_trace_with_observations_gives_its_generations(tmp_path):
    span = {**GENERATION, "id": "s", "type": "SPAN"}
    whole = {
        "trace": {"id": "t1", "userId": "u1", "sessionId": "s9", "name": "chat"},
        "observations": [span, GENERATION],
    }
    format, found = one(tmp_path, whole)
    assert (format, found.id, found.user, found.conversation_id) == ("langfuse", "g1", "u1", "s9")
    _, (passed,) = read(tmp_path, span)
    assert isinstance(passed, PassedOver) and "SPAN" in passed.reason


def test_langfuse_csv(tmp_path):
    path = tmp_path / "export.csv"
    path.write_text(
        'id,type,traceId,input,output,model\ng1,GENERATION,t1,"[{""role"":""user"",""content"":""lamp?""}]",'
        '"{""role"":""assistant"",""content"":""yes""}",gpt-4o\n'
    )
    assert importing.sniff(path).importer.name == "langfuse"
    (found,) = importing.read(path)
    assert answer(found)["content"] == "yes"


def test_langfuse_session_gives_its_traces_as_one_conversation(tmp_path):
    traces = [
        {"id": "t1", "projectId": "p", "input": {"messages": ASKED}, "output": SAID},
        {"id": "t2", "projectId": "p", "input": "and the shade?", "output": "tomorrow"},
        "nonsense",
    ]  # fmt: skip
    session = {"id": "s1", "projectId": "p", "createdAt": "2026-05-01T10:00:00Z", "traces": traces}
    format, (first, second, bad) = read(tmp_path, session)
    assert format == "langfuse"
    assert (first.id, second.id, first.conversation_id, second.conversation_id) == ("t1", "t2", "s1", "s1")
    assert answer(second)["content"] == "tomorrow"
    assert isinstance(bad, RejectedRecord) and "not an object" in bad.reason
