"""Thousands of hostile requests against a running gateway with an engine, while another client goes on asking.

    freehold up --port 8420 &
    python -m benchmarks.gateway.hostile_requests --url http://127.0.0.1:8420 --requests 10000 --process $!

Prints one line of JSON: what the attacker got, how many of the other client's requests were answered, and how many
engines ended meanwhile (with `--process`, a process that all engines descend from). Exit code 1 when an engine ended or
the other client got less than 99 %.
"""

from __future__ import annotations

import argparse
import collections
import http.client
import json
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import psutil

WANTED_SHARE = 0.99
NUMBERS = (-1, -(2**31), -(2**63), 0, 2**31, 2**63 - 1, 10**30, 1e308, -0.5, "1", None, True, [], {})
DOORS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/api/chat",
    "/v1/embeddings",
)
FIELDS = (
    *(
        "n",
        "max_tokens",
        "n_predict",
        "n_probs",
        "n_keep",
        "n_discard",
        "top_k",
        "top_p",
        "temperature",
        "seed",
        "id_slot",
    ),
    *(
        "min_p",
        "repeat_last_n",
        "dry_penalty_last_n",
        "dry_allowed_length",
        "mirostat",
        "typical_p",
        "top_logprobs",
    ),
    *(
        "n_indent",
        "n_cache_reuse",
        "t_max_predict_ms",
        "presence_penalty",
        "xtc_probability",
        "dynatemp_range",
    ),
)

PATTERNS = ("^(a+)+$", "(" * 500, "a{1,100000}", "((a{50}){50}){50}", "[", "\\", "^" + "(a|b)" * 300 + "$")
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
ODD = ("stop", "samplers", "lora", "chat_template_kwargs", "input_extra", "json_schema", "reasoning_format")


def _nested(levels: int, leaf: Any = None) -> Any:
    value: Any = leaf or {"type": "string"}
    for _ in range(levels):
        value = {"type": "array", "items": value, "minItems": 1}
    return value


def _form(schema: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


def _grammar(dice: random.Random) -> dict[str, Any]:
    n = dice.choice((10, 1000, 20_000))
    return {
        "grammar": dice.choice((f'root ::= {"(" * n}"a"{")" * n}', "root ::= root", "root ::= [", "\x00"))
    }


def _schema(dice: random.Random) -> dict[str, Any]:
    pattern = dice.choice(
        ("^(a+)+$", "(" * 500, "a{1,100000}", "((a{50}){50}){50}", "[", "\\", "^" + "(a|b)" * 300 + "$")
    )
    schema = dice.choice(
        (
            _nested(dice.choice((3, 60, 500))),
            {"type": "string", "pattern": pattern},
            {"type": "string", "maxLength": dice.choice((10**3, 10**9, -1))},
            {"type": "array", "minItems": dice.choice((5, 10**7)), "items": {"type": "integer"}},
            {"$ref": "#"},
            {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
            {"$ref": "http://127.0.0.1:1/x"},
            {"anyOf": [{"const": str(n)} for n in range(2000)]},
            {"type": "object", "properties": {str(n): {"enum": [n]} for n in range(800)}},
            {"type": "integer", "minimum": -(10**30), "maximum": 10**30},
            {"type": dice.choice(("x", 7, [], None))},
        )
    )
    return _form(schema)


def _biases(dice: random.Random) -> dict[str, Any]:
    return {
        "logit_bias": dice.choice(
            (
                {str(dice.choice((0, 49151, 49152, 10**9, -5))): dice.choice((100, -100, 1e308, "x", None))},
                {str(n): -100 for n in range(5000)},
                [[10**12, 1]],
                [[5, False]],
                "x",
            )
        )
    }


def _numbers(dice: random.Random) -> dict[str, Any]:
    return {name: dice.choice(NUMBERS) for name in dice.sample(FIELDS, dice.randint(1, 4))}


def _prompts(dice: random.Random) -> dict[str, Any]:
    return {
        "prompt": dice.choice(
            ([-1], [10**9], [0] * 9000, [], [[]], ["a", 5], {"multimodal_data": ["x"]}, 7, None)
        ),
        "messages": dice.choice(
            (
                [],
                [{"role": "user"}],
                [{"role": "x" * 5000, "content": ""}],
                [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
                        ],
                    }
                ],
                [{"role": "user", "content": "\ud83d\ude00\u0000<|im_end|>" * 400}],
                [{"role": "assistant", "tool_calls": [{"function": {"name": 5, "arguments": "{"}}]}],
                _nested(300),
            )
        ),
    }


def _tools(dice: random.Random) -> dict[str, Any]:
    schema = _schema(dice)["response_format"]["json_schema"]["schema"]
    tool = {
        "type": "function",
        "function": {"name": dice.choice(("f", "", "(" * 200, 5)), "parameters": schema},
    }
    return {"tools": [tool] * dice.choice((1, 100)), "tool_choice": dice.choice(("required", "auto", {}, 5))}


def _odd(dice: random.Random) -> dict[str, Any]:
    values = (["x"] * 2000, [""], "", [{"id": 99, "scale": 1e30}], {"a": _nested(200)}, 5, [None])
    return {dice.choice(ODD): dice.choice(values)}


ATTACKS: tuple[Callable[[random.Random], dict[str, Any]], ...] = (
    *(_grammar, _schema, _schema, _biases, _numbers, _numbers, _prompts, _tools, _odd),
)


def hostile(dice: random.Random, model: str) -> tuple[str, bytes]:
    """One hostile request: its door and body."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": "hi"}],
        "prompt": "hi",
        "input": "hi",
        "max_tokens": 2,
    }
    for attack in dice.sample(ATTACKS, dice.choice((1, 1, 2))):
        body |= attack(dice)
    return dice.choice(DOORS[:1] * 4 + DOORS), json.dumps(body).encode()


def _ask(url: str, path: str, body: bytes, timeout_s: float = 120.0) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request("POST", path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except OSError:
        return 0
    finally:
        connection.close()


def engines(process_id: int) -> set[int]:
    """The engine processes below a process."""
    found = set()
    for child in psutil.Process(process_id).children(recursive=True):
        try:
            if any("engines.llamacpp" in part or "llama-server" in part for part in child.cmdline()):
                found.add(child.pid)
        except psutil.Error:
            continue
    return found


def attack(
    url: str,
    model: str,
    count: int,
    *,
    seed: int,
    process_id: int | None,
    say: bool,
    seconds: float = float("inf"),
) -> dict[str, Any]:
    """Send `count` hostile requests from four clients, or what `seconds` allow; what they and another client got."""
    got: collections.Counter[int] = collections.Counter()
    honest: collections.Counter[int] = collections.Counter()
    done, lock = threading.Event(), threading.Lock()
    before = engines(process_id) if process_id else set()
    ends = time.monotonic() + seconds

    def attacker(number: int) -> None:
        dice = random.Random(seed * 100 + number)
        for sent in range(count // 4):
            if time.monotonic() > ends:
                return
            status = _ask(url, *hostile(dice, model))
            with lock:
                got[status] += 1
            if say and not number and sent % 100 == 99:
                sys.stderr.write(
                    f"{sum(got.values())} of {count} {dict(got)}, the other client {dict(honest)}\n"
                )

    def other() -> None:
        body = {"model": model, "messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 2}
        while not done.is_set():
            honest[_ask(url, DOORS[0], json.dumps(body).encode())] += 1
            time.sleep(0.1)

    threads = [threading.Thread(target=attacker, args=(number,)) for number in range(4)]
    client = threading.Thread(target=other)
    for thread in (*threads, client):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    client.join()
    ended = len(before - engines(process_id)) if process_id else None
    return {
        "requests": sum(got.values()),
        "statuses": {str(status): n for status, n in sorted(got.items())},
        "other_client": {str(status): n for status, n in sorted(honest.items())},
        "other_client_share": honest[200] / max(1, sum(honest.values())),
        "engines_ended": ended,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", default="HuggingFaceTB/SmolLM2-135M-Instruct")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="end after that, with what was done"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--process", type=int, help="a process that all engines descend from")
    options = parser.parse_args()
    told = attack(
        options.url,
        options.model,
        options.requests,
        seed=options.seed,
        process_id=options.process,
        say=True,
        seconds=options.minutes * 60,
    )
    sys.stdout.write(json.dumps(told) + "\n")
    sys.exit(1 if told["engines_ended"] or told["other_client_share"] < WANTED_SHARE else 0)


if __name__ == "__main__":
    main()
