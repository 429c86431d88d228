"""Logs of many shapes, each billed by hand: `freehold import` and `freehold cost` must come to the same.

Beside each log stands what one would pay for it, added up in dollars a million tokens at the list prices of November
2026: gpt-4o 2.50, cached 1.25, out 10; gpt-5 1.25, 0.125, 10; claude-haiku-4-5 1, read 0.10, written 1.25 (an hour 2),
out 5; gemini-2.5-flash 0.30, cached 0.03, sound 1, out 2.50; gpt-audio 2.50, sound 32, out 10, sound 64.
"""

import csv
import io
import json
from decimal import Decimal

import pytest
from click.testing import CliRunner
from tests.datasets.importing.exports import spans

from freehold.cli.main import cli

pytest.importorskip("genai_prices", reason="needs the extra 'costs'")

ALLOWED = 0.01
"""How far a bill may be from the hand count."""


def asked(number):
    return [{"role": "system", "content": "Be kind."}, {"role": "user", "content": f"where is lamp {number}"}]


def chat(usage, **more):
    message = {"role": "assistant", "content": "on its way"}
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
        **more,
    }


def openai_usage(prompt, cached, completion, reasoning=0):
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def anthropic_usage(plain, read, five_minutes, hour, completion):
    return {
        "input_tokens": plain,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": five_minutes + hour,
        "cache_creation": {
            "ephemeral_5m_input_tokens": five_minutes,
            "ephemeral_1h_input_tokens": hour,
        },
        "output_tokens": completion,
        "service_tier": "standard",
    }


def of_openai_chat():
    rows = [(1000, 512, 100, 0), (800, 0, 50, 0), (600, 256, 20, 0)]
    records = [
        {"request": {"model": "gpt-4o", "messages": asked(n)}, "response": chat(openai_usage(*row))}
        for n, row in enumerate(rows)
    ]
    hand = (488 * 2.5 + 512 * 1.25 + 100 * 10) + (800 * 2.5 + 50 * 10) + (344 * 2.5 + 256 * 1.25 + 20 * 10)
    return "gpt-4o", records, hand


def of_openai_responses():
    records = [
        {
            "request": {"model": "gpt-5", "input": f"where is lamp {n}"},
            "response": {
                "object": "response",
                "status": "completed",
                "output": [{"type": "message", "content": [{"type": "output_text", "text": "on its way"}]}],
                "usage": {
                    "input_tokens": 2000,
                    "input_tokens_details": {"cached_tokens": cached},
                    "output_tokens": 700,
                    "output_tokens_details": {"reasoning_tokens": 640},
                    "total_tokens": 2700,
                },
            },
        }
        for n, cached in enumerate((0, 1536))
    ]
    hand = (2000 * 1.25 + 700 * 10) + (464 * 1.25 + 1536 * 0.125 + 700 * 10)
    return "gpt-5", records, hand


def of_anthropic():
    rows = [(20, 2000, 0, 0, 50), (20, 0, 1500, 0, 50), (20, 500, 100, 900, 50)]
    records = [
        {
            "request": {
                "model": "claude-haiku-4-5",
                "system": "Be kind.",
                "max_tokens": 100,
                "messages": asked(n)[1:],
            },
            "response": {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "text", "text": "on its way"}],
                "stop_reason": "end_turn",
                "usage": anthropic_usage(*row),
            },
        }
        for n, row in enumerate(rows)
    ]
    hand = (
        (20 + 2000 * 0.1 + 50 * 5)
        + (20 + 1500 * 1.25 + 50 * 5)
        + (20 + 500 * 0.1 + 100 * 1.25 + 900 * 2 + 50 * 5)
    )
    return "claude-haiku-4-5", records, hand


def of_an_anthropic_stream_in_helicone():
    def stream(n):
        begin = {**anthropic_usage(30, 1000 * n, 200, 0, 1)}
        events = [
            {"type": "message_start", "message": {"model": "claude-haiku-4-5", "usage": begin}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "yes"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 80}},
            {"type": "message_stop"},
        ]
        return {"streamed_data": events}

    records = [
        {
            "request_id": f"r{n}",
            "request_created_at": f"2026-05-01T10:0{n}:00Z",
            "response_status": 200,
            "request_body": {"model": "claude-haiku-4-5", "max_tokens": 99, "messages": asked(n)[1:]},
            "response_body": stream(n),
        }
        for n in range(3)
    ]
    hand = 3 * (30 + 200 * 1.25 + 80 * 5) + (0 + 1000 + 2000) * 0.1
    return "claude-haiku-4-5", records, hand


def of_gemini():
    records = [
        {
            "request": {
                "model": "gemini-2.5-flash",
                "contents": [{"role": "user", "parts": [{"text": f"lamp {n}"}]}],
            },
            "response": {
                "candidates": [
                    {"content": {"role": "model", "parts": [{"text": "yes"}]}, "finishReason": "STOP"}
                ],
                "usageMetadata": {
                    "promptTokenCount": 1000,
                    "cachedContentTokenCount": 600 * n,
                    "candidatesTokenCount": 40,
                    "thoughtsTokenCount": 160,
                    "totalTokenCount": 1200,
                    "promptTokensDetails": [
                        {"modality": "TEXT", "tokenCount": 800},
                        {"modality": "AUDIO", "tokenCount": 200},
                    ],
                },
            },
        }
        for n in range(2)
    ]
    hand = (800 * 0.3 + 200 * 1 + 200 * 2.5) + (200 * 0.3 + 600 * 0.03 + 200 * 1 + 200 * 2.5)
    return "gemini-2.5-flash", records, hand


def of_ollama():
    records = [
        {
            "request": {"model": "qwen3:8b", "messages": asked(n)},
            "response": {
                "model": "qwen3:8b",
                "message": {"role": "assistant", "content": "yes"},
                "done": True,
                "done_reason": "stop",
                "prompt_eval_count": 100 + n,
                "eval_count": 7,
            },
        }
        for n in range(3)
    ]
    return "house", records, (100 + 101 + 102) * 2 + 3 * 7 * 8  # stated: 2 in, 8 out


def of_litellm():
    """LiteLLM counts what Claude cached inside the prompt, and repeats it beside."""
    records = [
        {
            "id": f"x{n}",
            "call_type": "acompletion",
            "response_cost": 0.1,
            "status": "success",
            "model": "claude-haiku-4-5",
            "messages": asked(n),
            "startTime": 1760000000.1 + n,
            "response": chat(
                {
                    "prompt_tokens": 2520,
                    "completion_tokens": 50,
                    "total_tokens": 2570,
                    "prompt_tokens_details": {"cached_tokens": 2000, "cache_creation_tokens": 500},
                    "cache_read_input_tokens": 2000,
                    "cache_creation_input_tokens": 500,
                }
            ),
        }
        for n in range(2)
    ]
    return "claude-haiku-4-5", records, 2 * (20 + 2000 * 0.1 + 500 * 1.25 + 50 * 5)


def of_langfuse():
    """Langfuse's kinds do not overlap: what was cached and thought stands beside input and output."""
    records = [
        {
            "id": f"g{n}",
            "traceId": f"t{n}",
            "type": "GENERATION",
            "startTime": f"2026-05-01T10:0{n}:00.000Z",
            "model": "gpt-5",
            "level": "DEFAULT",
            "input": {"messages": asked(n)},
            "output": {"role": "assistant", "content": "yes"},
            "usageDetails": {
                "input": 976,
                "input_cached_tokens": 1024,
                "output": 90,
                "output_reasoning_tokens": 310,
                "total": 2400,
            },
        }
        for n in range(2)
    ]
    return "gpt-5", records, 2 * (976 * 1.25 + 1024 * 0.125 + 400 * 10)


def of_langsmith():
    records = [
        {
            "id": f"r{n}",
            "run_type": "llm",
            "trace_id": f"t{n}",
            "start_time": f"2026-05-01T10:0{n}:00",
            "end_time": f"2026-05-01T10:0{n}:01",
            "inputs": {"messages": asked(n)},
            "outputs": {
                "generations": [[{"text": "yes", "message": {"type": "ai", "data": {
                    "content": "yes",
                    "usage_metadata": {
                        "input_tokens": 2520, "output_tokens": 50, "total_tokens": 2570,
                        "input_token_details": {"cache_read": 2000, "ephemeral_5m_input_tokens": 100,
                                                "ephemeral_1h_input_tokens": 400},
                    },
                }}}]],
            },
            "extra": {"metadata": {"ls_model_name": "claude-haiku-4-5"}},
        }
        for n in range(2)
    ]  # fmt: skip
    return "claude-haiku-4-5", records, 2 * (20 + 2000 * 0.1 + 100 * 1.25 + 400 * 2 + 50 * 5)


def of_opentelemetry():
    sets = [
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.input.messages": json.dumps(asked(n)),
            "gen_ai.output.messages": json.dumps(
                [{"role": "assistant", "parts": [{"type": "text", "content": "yes"}]}]
            ),
            "gen_ai.usage.input_tokens": 900,
            "gen_ai.usage.cache_read.input_tokens": 640,
            "gen_ai.usage.output_tokens": 30,
        }
        for n in range(2)
    ]
    return "gpt-4o", [spans(*sets)], 2 * (260 * 2.5 + 640 * 1.25 + 30 * 10)


def of_openinference():
    sets = [
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "claude-haiku-4-5",
            "llm.input_messages.0.message.role": "user",
            "llm.input_messages.0.message.content": f"where is lamp {n}",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.content": "yes",
            "llm.token_count.prompt": 2520,
            "llm.token_count.completion": 50,
            "llm.token_count.prompt_details.cache_read": 2000,
            "llm.token_count.prompt_details.cache_write": 500,
        }
        for n in range(2)
    ]
    return "claude-haiku-4-5", [spans(*sets)], 2 * (20 + 2000 * 0.1 + 500 * 1.25 + 50 * 5)


def of_a_batch_job():
    records = [
        {
            "request": {
                "custom_id": str(n),
                "method": "POST",
                "url": "/v1/chat/completions",
                "body": {"model": "gpt-4o", "messages": asked(n)},
            },
            "response": {
                "id": f"batch_req_{n}",
                "custom_id": str(n),
                "response": {"status_code": 200, "body": chat(openai_usage(1000, 0, 100))},
                "error": None,
            },
        }
        for n in range(3)
    ]
    return "gpt-4o", records, 3 * (1000 * 2.5 + 100 * 10) / 2


def of_stored_completions_with_sound():
    records = [
        {
            "completion": chat(
                {
                    "prompt_tokens": 1000,
                    "completion_tokens": 200,
                    "total_tokens": 1200,
                    "prompt_tokens_details": {"audio_tokens": 600, "cached_tokens": 0},
                    "completion_tokens_details": {"audio_tokens": 150, "reasoning_tokens": 0},
                },
                id=f"chatcmpl-{n}",
                created=1760000000 + n,
                model="gpt-audio",
            ),
            "messages": asked(n),
        }
        for n in range(2)
    ]
    return "gpt-audio", records, 2 * (400 * 2.5 + 600 * 32 + 50 * 10 + 150 * 64)


def of_a_table():
    rows = [
        {
            "prompt": f"where is lamp {n}",
            "response": "yes",
            "prompt_tokens": 400 + n,
            "cached_tokens": 128,
            "completion_tokens": 5,
        }
        for n in range(3)
    ]
    return "gpt-4o", rows, (272 + 273 + 274) * 2.5 + 3 * (128 * 1.25 + 5 * 10)


LOGS = [of_openai_chat, of_openai_responses, of_anthropic, of_an_anthropic_stream_in_helicone, of_gemini, of_ollama,
        of_litellm, of_langfuse, of_langsmith, of_opentelemetry, of_openinference, of_a_batch_job,
        of_stored_completions_with_sound, of_a_table]  # fmt: skip


def billed(folder, incumbent, records, *more):
    """What `freehold cost` says of a log that `freehold import` brought in."""
    runner = CliRunner()
    if more == ("csv",):
        text = io.StringIO()
        writer = csv.DictWriter(text, records[0])
        writer.writeheader()
        writer.writerows(records)
        path = folder / "log.csv"
        path.write_text(text.getvalue())
    else:
        path = folder / "log.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
    brought = runner.invoke(cli, ["import", str(path), "--json"])
    assert brought.exit_code == 0, brought.output
    if incumbent == "house":
        (folder / "freehold.toml").write_text(
            '[app]\nname = "x"\n[incumbent]\nmodel = "house"\nprice = { prompt = 2, completion = 8 }\n'
        )
    found = runner.invoke(
        cli,
        ["cost", "Qwen/Qwen3-8B", "--incumbent", incumbent, "--machine", "L4", "--usd-per-hour", "1",
         "--requests-per-month", "1000000", "--json"],
    )  # fmt: skip
    assert found.exit_code == 0, found.output + str(found.exception)
    return json.loads(found.stdout)


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.__name__)
def test_the_bill_of_a_log_is_the_one_counted_by_hand(tmp_path, monkeypatch, log):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    incumbent, records, hand = log()
    found = billed(tmp_path, incumbent, records, *(["csv"] if log is of_a_table else []))
    count = found["traffic"]["traces"]
    assert count == len(records) or count == 2, "spans of a file are several requests"
    assert found["traffic"]["estimated_share"] == 0
    got = float(Decimal(found["bill"]["usd_per_request"]["low"])) * count * 1e6
    assert got == pytest.approx(hand, rel=ALLOWED), f"{got / hand - 1:+.1%}"
    assert got == pytest.approx(hand, rel=1e-6), "and in fact exactly"


def test_logs_that_hold_nothing_or_no_text_are_refused_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    for name, content, says, hint in (
        ("empty.jsonl", b"", "no record in it", "it is empty"),
        ("binary.jsonl", bytes(range(256)) * 8, "no record can be read", "it is a binary file"),
        ("wide.jsonl", '{"messages": []}\n'.encode("utf-16"), "is UTF-16", "iconv -f UTF-16"),
        ("latin.jsonl", '{"messages": "für"}\n'.encode("latin-1"), "no record can be read", "iconv"),
    ):
        (tmp_path / name).write_bytes(content)
        result = CliRunner().invoke(cli, ["import", name])
        assert result.exit_code != 0
        assert says in str(result.exception) and hint in result.exception.hint, name


def test_amounts_in_two_currencies_and_counts_below_zero_are_said_and_not_added_up(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    records = [
        {
            "request": {"model": "gpt-4o", "messages": asked(n)},
            "response": chat({"prompt_tokens": -5 if n else 50, "completion_tokens": 3}),
            "currency": currency,
            "cost": -0.2,
        }
        for n, currency in enumerate(("EUR", "USD"))
    ]
    found = billed(tmp_path, "gpt-4o", records)
    assert any("the log names amounts in EUR 1 and USD 1" in reason for reason in found["reasons"])
    assert found["traffic"]["estimated_share"] == 0.5, "a count below zero is none: its text is measured"
    assert float(found["bill"]["usd_per_request"]["low"]) > 0
