import json

from tests.datasets.importing.exports import ASKED, COMPLETION, TOOL, one, read

from freehold.datasets.importing import PassedOver


def test_litellm_standard_records_and_spend_records(tmp_path):
    standard = {
        "id": "x", "trace_id": "t1", "call_type": "acompletion", "response_cost": 0.1, "model": "gpt-4o",
        "messages": ASKED, "response": COMPLETION, "startTime": 1760000000.1, "endTime": 1760000000.6,
        "model_parameters": {"tools": [TOOL], "temperature": 0}, "end_user": "u1", "status": "success",
        "metadata": {"requester_metadata": {"team": "a"}},
    }  # fmt: skip
    format, found = one(tmp_path, standard)
    assert (format, found.user, found.metadata) == ("litellm", "u1", {"team": "a"})
    assert found.request["tools"] == [TOOL] and found.total_ms == 500
    spend = {
        "request_id": "x", "call_type": "aresponses", "spend": 0.1, "session_id": "s1", "messages": "{}",
        "proxy_server_request": json.dumps({"model": "gpt-4o", "instructions": "Be kind.", "input": "lamp?"}),
        "response": json.dumps(COMPLETION),
    }  # fmt: skip
    format, found = one(tmp_path, spend)
    assert (format, found.conversation_id) == ("litellm", "s1")
    assert [message["role"] for message in found.request["messages"]] == ["system", "user"]
    _, rows = read(tmp_path, {**standard, "call_type": "aembedding"}, {**standard, "messages": None})
    assert isinstance(rows[0], PassedOver) and "store_prompts_in_spend_logs" in rows[1].reason
