"""What checking a good request costs, in processor time of the loop: the best of many rounds.

    python benchmarks/gateway/request_checks.py [--rounds N]

Timed are the step that makes the body for an endpoint, with the checks in it and with them taken out, for a rented
endpoint and for an engine here; and the look at a schema in the answer's turn. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from unittest import mock

from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.proxy import reading
from freehold.gateway.proxy.exchange import new_exchange
from freehold.gateway.proxy.guards import may_break_schema
from freehold.gateway.proxy.reading import UpstreamBody, is_sent_as_it_came, upstream_body
from freehold.gateway.proxy.translation import API_ROUTES
from freehold.types.endpoint import Capabilities, Endpoint
from freehold.types.route import Target
from freehold.wire import openai
from freehold.wire.output_schema import problem_of

CHAT = "/v1/chat/completions"
PROPERTIES = {f"field_{number}": {"type": "string", "maxLength": 40} for number in range(20)}
SCHEMA = {
    "type": "object",
    "properties": PROPERTIES,
    "required": list(PROPERTIES),
    "additionalProperties": False,
}
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
TURNS = [
    {"role": "system", "content": "You sort messages. " * 40},
    *({"role": role, "content": "Where is my parcel? " * 8} for role in ("user", "assistant", "user")),
]
ASKED = {"model": "m", "messages": TURNS, "temperature": 0, "max_tokens": 64}
CASES = {
    "a chat of four turns": ASKED,
    "the same with a schema of 20 fields": {**ASKED, "response_format": FORM},
}
CAN = Capabilities(tools=True, json_schema=True)
OWN = Endpoint(name="own", engine="llamacpp", base_url="http://127.0.0.1:1", capabilities=CAN)
RENTED = Endpoint(name="far", engine="remote", base_url="http://127.0.0.1:1", capabilities=CAN)


def best_us(do: Callable[[], object], rounds: int, times: int = 200) -> float:
    """Microseconds of one call, in the round that was disturbed least."""
    found = []
    for _ in range(rounds):
        began_ns = time.perf_counter_ns()
        for _ in range(times):
            do()
        found.append((time.perf_counter_ns() - began_ns) / times / 1000)
    return min(found)


def how(endpoint: Endpoint) -> UpstreamBody:
    return UpstreamBody(CHAT, endpoint, Target(endpoint=endpoint.name), "m", "m", False, False, b"", False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    print("| request | bytes | rented: is it sent as it came | engine here: the body, unchecked | checked |"
          " looking at its schema for the answer |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    for name, asked in CASES.items():
        body = json.dumps(asked).encode()
        exchange = new_exchange(SimpleNamespace(memory=MemoryBudget()), API_ROUTES[CHAT], None)
        exchange.body, exchange.peek = body, openai.peek(body)
        peek = exchange.peek
        assert is_sent_as_it_came(RENTED, "m", peek, None)
        sent = best_us(lambda: is_sent_as_it_came(RENTED, "m", peek, None), rounds)  # noqa: B023
        with mock.patch.object(reading, "check_types", lambda kind, body: None):
            bare = best_us(lambda: upstream_body(how(OWN), body), rounds)  # noqa: B023
        checked = best_us(lambda: upstream_body(how(OWN), body), rounds)  # noqa: B023
        looked = best_us(lambda: may_break_schema(exchange, OWN), rounds)  # noqa: B023
        print(
            f"| {name} | {len(body)} | {sent:.2f} µs | {bare:.1f} µs | {checked:.1f} µs | {looked:.2f} µs |"
        )
    print(f"\nThe first look at that schema: {best_us(lambda: problem_of(SCHEMA), rounds):.0f} µs.")


if __name__ == "__main__":
    main()
