from tests.datasets.importing.exports import one
from tests.datasets.importing.lines import PAIR, write

from freehold.datasets.importing import read
from freehold.types.trace import Usage


def test_pairs_keep_gold_group_and_metadata(tmp_path):
    (pair,) = read(write(tmp_path / "a.jsonl", PAIR))
    assert (pair.gold, pair.conversation_id, pair.metadata) == (
        '{"intent":"greeting"}',
        "7",
        {"language": "en"},
    )


def test_the_time_is_the_record_s_else_the_answer_s(tmp_path):
    answered = {**PAIR, "response": {**PAIR["response"], "created": 1_767_225_600}}
    plain, told, both = read(
        write(tmp_path / "a.jsonl", PAIR, answered, {**answered, "at": "2026-03-01T08:00:00Z"})
    )
    assert plain.at is None
    assert told.at.isoformat() == "2026-01-01T00:00:00+00:00"
    assert both.at.isoformat() == "2026-03-01T08:00:00+00:00"


def test_lines_of_a_batch_job_are_pairs_at_the_batch_price(tmp_path):
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}
    answer = {
        "choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2},
    }
    _, found = one(
        tmp_path,
        {
            "request": {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body},
            "response": {
                "id": "batch_req_1",
                "custom_id": "a",
                "response": {"status_code": 200, "body": answer},
            },
        },
    )
    assert found.usage == Usage(prompt_tokens=10, completion_tokens=2, service_tier="batch")
    message = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "hi"}],
        "usage": {"input_tokens": 10, "output_tokens": 2},
    }
    _, of_anthropic = one(
        tmp_path,
        {
            "request": {"custom_id": "a", "params": {**body, "model": "claude-haiku-4-5", "max_tokens": 9}},
            "response": {"custom_id": "a", "result": {"type": "succeeded", "message": message}},
        },
    )
    assert of_anthropic.usage == found.usage
