"""`semantic`: how near the answer's meaning is to the reference's, by an embedding model behind any endpoint.

Covered: any API with ``/v1/embeddings``. Not covered: whether nearness means right. A wrong number or a missing
"not" hardly moves an embedding: look at where right and wrong answers of your own task lie before trusting it.
"""

from __future__ import annotations

import asyncio
import math
import os
from typing import Any

import msgspec

from freehold.errors import ConfigError, UpstreamError, UsageError
from freehold.evals.scorer import EMPTY, NO_REFERENCE, AskedModel, Options, Scorer, read_options, right, wrong
from freehold.late import aiohttp
from freehold.types.dataset import Sample
from freehold.types.evaluation import Score
from freehold.wire.base_url import joined

_ATTEMPTS = 3


class SemanticOptions(Options, frozen=True, kw_only=True):
    """`base_url` and `model` of an embeddings API, `api_key_env` names the variable with its key.

    With a `threshold` the score is 1 from that cosine on, else 0; without one it is the cosine, 0 where negative.
    """

    base_url: str
    model: str
    api_key_env: str | None = None
    threshold: float | None = None
    seconds: float = 60.0


class _Item(msgspec.Struct):
    embedding: list[float]
    index: int = 0


class _Embeddings(msgspec.Struct):
    data: list[_Item]


class SemanticScorer(Scorer):
    """Cosine of the embeddings of answer and reference. An endpoint that fails leaves the answer unscored."""

    name = "semantic"
    needs_reference = True

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = read_options(self.name, options, SemanticOptions)
        if self.options.threshold is not None and not -1 < self.options.threshold <= 1:
            raise ConfigError(f"scorer semantic: threshold is {self.options.threshold}, expected in (-1, 1]")
        self.binary = self.options.threshold is not None
        self.asks = AskedModel(self.options.base_url, self.options.model, self.options.api_key_env)

    async def score(self, sample: Sample, answer: str, reference: str | None) -> Score:
        if reference is None or not reference.strip():
            return NO_REFERENCE
        if not answer.strip():
            return EMPTY
        try:
            given, expected = await self._embed([answer, reference])
        except UpstreamError as error:
            return Score(value=None, reason=f"no_embedding: {error.message}")
        nearness = cosine(given, expected)
        if nearness is None:
            return Score(value=None, reason="no_embedding: an embedding of length 0 or of another size")
        if self.options.threshold is None:
            return Score(value=min(1.0, max(0.0, nearness)), reason=f"cosine: {nearness:.4f}")
        return right() if nearness >= self.options.threshold else wrong(f"too_far: cosine {nearness:.4f}")

    async def _embed(self, texts: list[str]) -> tuple[list[float], list[float]]:
        headers = {}
        if self.options.api_key_env:
            key = os.environ.get(self.options.api_key_env)
            if not key:
                raise UsageError(f"scorer semantic: the variable {self.options.api_key_env} is not set")
            headers["authorization"] = f"Bearer {key}"
        url = joined(self.options.base_url, "/v1/embeddings")
        said = ""
        async with aiohttp.ClientSession(
            headers=headers, timeout=aiohttp.ClientTimeout(total=self.options.seconds)
        ) as session:
            for attempt in range(_ATTEMPTS):
                try:
                    async with session.post(
                        url, json={"model": self.options.model, "input": texts}
                    ) as response:
                        if response.status == 200:
                            body = msgspec.json.decode(await response.read(), type=_Embeddings)
                            first, second = sorted(body.data, key=lambda item: item.index)
                            return first.embedding, second.embedding
                        said = f"{url} answered {response.status}"
                        if response.status < 500 and response.status != 429:
                            break
                except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError, ValueError) as error:
                    said = f"{url}: {error or type(error).__name__}"
                await asyncio.sleep(0.2 * 2**attempt)
        raise UpstreamError(said)


def cosine(left: list[float], right_one: list[float]) -> float | None:
    """Cosine of the angle between two vectors, None where there is no angle."""
    size = math.sqrt(sum(x * x for x in left)) * math.sqrt(sum(y * y for y in right_one))
    if size == 0 or len(left) != len(right_one):
        return None
    return sum(x * y for x, y in zip(left, right_one, strict=True)) / size
