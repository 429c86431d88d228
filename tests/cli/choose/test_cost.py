"""What the rented model costs, and when it ends."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

MODEL = "Qwen/Qwen3-0.6B"


def test_what_the_rented_model_costs_is_one_sentence(tmp_path, freehold):
    """In init, status, cost and assess; an import keeps records that are alike once, and so does init."""
    pytest.importorskip("genai_prices", reason="needs the extra 'costs'")
    rows = [
        {
            "timestamp": (datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=number % 90)).isoformat(),
            "request": {
                "model": "gpt-4o",
                "messages": [{"role": "user", "content": f"message {number % 90}"}],
            },
            "response": {
                "choices": [{"message": {"role": "assistant", "content": ("yes", "no")[number % 2]}}]
            },
        }
        for number in range(96)
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = freehold("init", "log.jsonl", "--json").json["rented"]
    assert re.fullmatch(
        r"gpt-4o is shut down on .* gpt-4o costs \$[\d.,]+ a month for this traffic.*\.", told
    )
    freehold("import", "log.jsonl")
    assert freehold("status", "--json").json["rented"] == told
    costed = freehold("cost", MODEL, "--machine", "l4", "--json").json
    assert costed["sentence"].startswith(told)
    assert freehold("assess", MODEL, "--machine", "l4", "--json").json["money"].startswith(told)
    short = " ".join(freehold("cost", MODEL, "--machine", "A30").out.split())
    assert short == told, "where the machine has no price"
