"""How often two ways to run the same model name the same next token: what a quantization costs, in a minute.

Texts are read up to a word and the likeliest next token is asked for. No template, no sampling. This does not replace
parity or evaluation, which ask for the task; it keeps a tuning run from trading the model away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from freehold.engines import keys
from freehold.engines.engine import start
from freehold.errors import EngineError
from freehold.late import aiohttp
from freehold.types.endpoint import Endpoint, ServePlan

TEXTS = (
    "The bakery on the corner opens at six in the morning, and by seven the first loaves are already gone.",
    "To reset your password, open the settings page, choose security and follow the link in the message we send.",
    "The committee met on Tuesday to discuss the budget for the coming year and the repair of the old bridge.",
    "Water boils at one hundred degrees Celsius at sea level, and at a lower temperature high up in the mountains.",
    "def total(prices):\n    result = 0\n    for price in prices:\n        result = result + price\n    return result",
    '{"order_number": 4711, "customer": "Ada Lind", "city": "Bern", "item": "lamp", "quantity": 2}',
    "Dear customer, thank you for your order. We are sorry that the parcel arrived late and will return the fee.",
    "The patient reported a mild headache and was told to rest, to drink enough and to come back in a week.",
)
EVERY_WORDS = 3


def positions(texts: Sequence[str] = TEXTS) -> Iterator[str]:
    """Starts of the texts, each a few words longer than the one before."""
    for text in texts:
        words = text.split(" ")
        for count in range(4, len(words), EVERY_WORDS):
            yield " ".join(words[:count])


async def next_tokens(plan: ServePlan, *, log_dir: Path) -> list[int]:
    """The likeliest next token at each position. Raises what a start raises, and `EngineError`."""
    plan = msgspec.structs.replace(plan, parallel=1, port=0)
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        start(plan, log_dir=log_dir, name="agreement") as endpoint,
        aiohttp.ClientSession(connector=connector) as http,
    ):
        return [await _next(http, endpoint, text) for text in positions()]


async def _next(http: aiohttp.ClientSession, endpoint: Endpoint, text: str) -> int:
    body = {"prompt": text, "n_predict": 1, "n_probs": 1, "temperature": 0, "cache_prompt": True}
    async with http.post(
        f"{endpoint.base_url}/completion", json=body, headers=keys.headers(endpoint)
    ) as reply:
        answer = await reply.json()
    try:
        return int(answer["completion_probabilities"][0]["id"])
    except (KeyError, IndexError, TypeError, ValueError):
        raise EngineError(f"the engine did not tell its next token: {str(answer)[:200]}") from None


def agreement(one: Sequence[int], other: Sequence[int]) -> float:
    """Share of positions with the same token."""
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)
