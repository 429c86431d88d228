"""What is asked: requests taken from traces or a file, or made up to a size."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from freehold.errors import UsageError

# Short, common words: about one token each in every tokenizer.
_WORDS = tuple(
    word
    for line in (
        "order track send late blue red box shop pay card day week time help need want find lost new old open",
        "close call mail name street house door light green cost free fast slow good bad long short city town",
        "road bank book page line word list item size weight color price stock store cart gift code date hour",
    )
    for word in line.split()
)

KEPT = ("messages", "tools", "tool_choice", "response_format", "stop", "max_tokens", "max_completion_tokens")


class RequestBodies(NamedTuple):
    """Request bodies without model and stream, asked in turn and over again; `about` is for the report."""

    bodies: Sequence[dict[str, Any]]
    about: str

    def endless(self) -> Iterator[dict[str, Any]]:
        while True:
            yield from self.bodies


def synthetic(
    *,
    prompt_tokens: int,
    completion_tokens: int,
    shared_prefix_tokens: int = 0,
    count: int = 256,
    seed: int = 0,
) -> RequestBodies:
    """Prompts of about `prompt_tokens` words, all different after the first `shared_prefix_tokens`.

    Answers are asked to be `completion_tokens` long at most; engines that know ``ignore_eos`` make them so.
    """
    if prompt_tokens < 1 or completion_tokens < 1 or not 0 <= shared_prefix_tokens < prompt_tokens:
        raise UsageError(
            f"prompts of {prompt_tokens} tokens with {shared_prefix_tokens} shared and answers of "
            f"{completion_tokens} make no workload",
        )
    chance = random.Random(seed)
    prefix = [chance.choice(_WORDS) for _ in range(shared_prefix_tokens)]
    bodies = []
    for _ in range(count):
        rest = [chance.choice(_WORDS) for _ in range(prompt_tokens - shared_prefix_tokens)]
        text = " ".join([*prefix, *rest])
        bodies.append(
            {
                "messages": [{"role": "user", "content": text}],
                "max_tokens": completion_tokens,
                "temperature": 0,
                "ignore_eos": True,
            }
        )
    shared = f", the first {shared_prefix_tokens} shared" if shared_prefix_tokens else ""
    return RequestBodies(
        bodies, f"made-up prompts of {prompt_tokens} words{shared}, {completion_tokens} tokens back"
    )


def from_bodies(requests: Sequence[dict[str, Any]], *, about: str, completion_tokens: int) -> RequestBodies:
    """Recorded requests, asked as they were; `completion_tokens` bounds answers that had no bound.

    Raises `UsageError` when there is none with messages.
    """
    bodies = []
    for request in requests:
        body = {key: request[key] for key in KEPT if request.get(key) is not None}
        if not isinstance(body.get("messages"), list) or not body["messages"]:
            continue
        if "max_tokens" not in body and "max_completion_tokens" not in body:
            body["max_tokens"] = completion_tokens
        bodies.append({"temperature": 0, **body})
    if not bodies:
        raise UsageError(f"no request with messages in {about}", hint="freehold import brings traffic in")
    return RequestBodies(bodies, about)
