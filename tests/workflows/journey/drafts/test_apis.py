import json

import pytest

from freehold.types.config import DataConfig, parse
from freehold.workflows.journey.init import DraftRequest, draft


def log(path, records):
    path.write_text("\n".join(map(json.dumps, records)))
    return path


def claude(number):
    return {
        "request": {
            "model": "claude-sonnet-4-5", "system": "Help.", "max_tokens": 300,
            "messages": [{"role": "user", "content": f"hello {number}"}],
        },
        "response": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
            "content": [{"type": "text", "text": f"Dear customer {number}, thanks for {number * 3}."}],
            "stop_reason": "end_turn", "usage": {"input_tokens": 640, "output_tokens": 90},
        },
    }  # fmt: skip


def flat(number):
    """As a gateway's call-back dumps a call: the request's keys next to the response."""
    message = {"role": "assistant", "content": f"Dear customer {number}, thanks for {number * 3}."}
    return {
        "model": "gpt-4o", "messages": [{"role": "user", "content": f"hello {number}"}],
        "response": {
            "choices": [{"message": message}], "usage": {"prompt_tokens": 640, "completion_tokens": 90}
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("record", "answer", "lines"),
    [
        (claude, "response.content", ['api = "anthropic"', "https://api.anthropic.com", "ANTHROPIC_API_KEY"]),
        (flat, "response.choices[0].message", ["https://api.openai.com/v1", "OPENAI_API_KEY"]),
    ],
)
def test_the_file_speaks_the_api_of_the_log(tmp_path, record, answer, lines):
    made = draft(DraftRequest(folder=tmp_path, files=(log(tmp_path / "t.jsonl", map(record, range(40))),)))
    assert made.seen[0].mapping["answer"] == answer and made.seen[0].records == 40
    text = (tmp_path / "freehold.toml").read_text()
    assert all(line in text for line in lines) and "docs/" not in text


@pytest.mark.parametrize("record", [claude, flat])
def test_sizes_are_those_the_log_counted_where_they_are_more(tmp_path, record):
    path = log(tmp_path / "t.jsonl", map(record, range(40)))
    draft(DraftRequest(folder=tmp_path, files=(path,), data=DataConfig()))
    text = (tmp_path / "freehold.toml").read_text()
    assert parse(text).task.max_tokens == 90
    assert "the longest has 730 or fewer" in text
