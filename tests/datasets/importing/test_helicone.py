from tests.datasets.importing.exports import answer, one, read

from freehold.datasets.importing import PassedOver


def test_helicone(tmp_path):
    record = {
        "request_id": "r", "request_created_at": "2026-05-01T10:00:00Z", "response_status": 200,
        "feedback_rating": False,
        "request_body": {"model": "claude", "system": "Be kind.", "max_tokens": 9,
                         "messages": [{"role": "user", "content": [{"type": "text", "text": "lamp?"}]}]},
        "response_body": {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "yes"}],
                          "usage": {"input_tokens": 4, "output_tokens": 1}},
        "request_properties": {"Helicone-Session-Id": "s1", "plan": "pro"},
    }  # fmt: skip
    format, found = one(tmp_path, record)
    assert (format, found.conversation_id, found.metadata) == ("helicone", "s1", {"plan": "pro"})
    assert found.desirable is False and answer(found)["content"] == "yes"
    _, (failed,) = read(tmp_path, {**record, "response_status": 429})
    assert isinstance(failed, PassedOver)
