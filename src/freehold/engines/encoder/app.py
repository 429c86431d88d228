"""The encoder's HTTP side: OpenAI chat (plain and streamed), embeddings, models, counts, health, metrics."""

from __future__ import annotations

import base64
import itertools
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from freehold.encoders.answers import answer
from freehold.encoders.runner import EncodedText, EncoderRunner, Text
from freehold.engines.encoder import requests
from freehold.engines.encoder.batching import Batcher, EncoderOptions, QueueFullError
from freehold.engines.encoder.completions import chunks, completion
from freehold.engines.encoder.form import misfit
from freehold.engines.guard import keyed, own_hosts_only
from freehold.errors import FreeholdError
from freehold.late import np, web
from freehold.types.encoder import EncoderManifest
from freehold.types.endpoint import ServePlan
from freehold.wire.errors import ApiError

log = logging.getLogger(__name__)

BODY_BYTES = 64 << 20
CHARACTERS_PER_TOKEN = 32
"""A text with more characters for each token of the context is refused unread: cutting it into tokens alone would hold
up all others. Words have 3 to 6, and 32 leaves room for a page of spaces."""
RETRY_SECONDS = 1
CUT_HEADER = "x-freehold-tokens-cut"


class EncoderApp:
    """One encoder's server, which asks for `key`."""

    def __init__(
        self,
        plan: ServePlan,
        options: EncoderOptions,
        manifest: EncoderManifest,
        runner: EncoderRunner,
        key: str | None = None,
    ) -> None:
        self._plan = plan
        self._options = options
        self._manifest = manifest
        self._runner = runner
        self._key = key
        self._batcher: Batcher | None = None
        self._started = int(time.time())
        self._numbers = itertools.count(1)
        self._misfit = lru_cache(maxsize=256)(self._misfit_uncached)

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(
            client_max_size=BODY_BYTES,
            middlewares=[own_hosts_only, keyed(self._key), self._refusing],
        )
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._list)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_post("/tokenize", self._tokenize)
        app.cleanup_ctx.append(self._batching)
        return app

    async def _batching(self, _: web.Application) -> AsyncIterator[None]:
        async with Batcher(
            self._runner, batch=self._options.batch, queue_texts=self._options.queue_texts
        ) as self._batcher:
            yield

    @web.middleware
    async def _refusing(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Write errors as OpenAI's API does."""
        try:
            return await handler(request)
        except ApiError as error:
            return _error(error)
        except web.HTTPRequestEntityTooLarge:
            return _error(ApiError(413, f"the request is larger than {BODY_BYTES >> 20} MiB"))
        except web.HTTPNotFound:
            return _error(ApiError(404, f"{request.path} is not served: an encoder has chat and embeddings"))
        except QueueFullError as error:
            return _error(ApiError(503, error.message, code="overloaded", retry_after_s=RETRY_SECONDS))
        except FreeholdError as error:
            return _error(ApiError(500, error.message))

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _list(self, _: web.Request) -> web.Response:
        model = {"id": self._plan.model, "object": "model", "created": self._started, "owned_by": "freehold"}
        return web.json_response({"object": "list", "data": [model]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = requests.read_chat(await self._read(request))
        texts = self._manifest.texts_of(asked.conversation)
        (read,) = await self._encoded([texts], "messages")
        found = answer(self._manifest, read, texts[0], top=asked.top_logprobs or 0)
        if not math.isfinite(found.probability):
            raise ApiError(500, "the encoder computed no number: its files may be damaged")
        if asked.response_format is not None:
            why = self._misfit(msgspec.json.encode(asked.response_format), found.text)
            if why is not None:
                message = f"the answer does not fit response_format: {why}"
                raise ApiError(400, message, code="unsupported_parameter", param="response_format")
        whole = completion(asked, found, read, number=next(self._numbers), created=int(time.time()))
        headers = {CUT_HEADER: str(read.cut)} if read.cut else {}
        if not asked.stream:
            return web.Response(
                body=msgspec.json.encode(whole), content_type="application/json", headers=headers
            )
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", **headers}
        )
        await response.prepare(request)
        parts = chunks(whole, include_usage=bool(asked.stream_options and asked.stream_options.include_usage))
        told = b"".join(b"data: " + msgspec.json.encode(part) + b"\n\n" for part in parts)
        await response.write(told + b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    def _misfit_uncached(self, form: bytes, text: str) -> str | None:
        return misfit(msgspec.json.decode(form), text, self._manifest)

    async def _embeddings(self, request: web.Request) -> web.Response:
        body = await self._read(request)
        if not (width := self._manifest.width):
            raise ApiError(400, f"{self._plan.model} reads words, and has no embeddings")
        asked = requests.convert(body, requests.EmbeddingRequest)
        if asked.dimensions not in (None, width):
            message = f"this model's embeddings have {width} dimensions, and were not trained to be shortened"
            raise ApiError(400, message, param="dimensions")
        read = await self._encoded([asked.input] if isinstance(asked.input, str) else asked.input, "input")
        data = []
        for index, one in enumerate(read):
            vector: Any = one.embedding.astype("<f4")
            packed = asked.encoding_format == "base64"
            vector = base64.b64encode(vector.tobytes()).decode() if packed else vector.tolist()
            data.append({"object": "embedding", "index": index, "embedding": vector})
        used = sum(one.tokens for one in read)
        reply = {
            "object": "list",
            "data": data,
            "model": asked.model,
            "usage": {"prompt_tokens": used, "total_tokens": used},
        }
        if cut := sum(one.cut for one in read):
            reply["freehold"] = {"tokens_cut": cut}
        return web.Response(body=msgspec.json.encode(reply), content_type="application/json")

    async def _tokenize(self, request: web.Request) -> web.Response:
        """How many tokens a conversation has, as vLLM's call of that name says it."""
        assert self._batcher is not None
        body = await self._read(request)
        texts = self._manifest.texts_of(requests.read_chat(body).conversation)
        self._check_length(texts, "messages")
        counts = await self._batcher.count([one for place, one in enumerate(texts) if one or not place])
        return web.json_response({"count": sum(counts), "max_model_len": self._plan.context_tokens})

    async def _encoded(self, texts: Sequence[Text], param: str) -> list[EncodedText]:
        """The texts as the encoder reads them. Raises `ApiError` (400) for one that is too long."""
        assert self._batcher is not None
        for text in texts:
            self._check_length(text, param)
        encoded = await self._batcher.read(texts)
        for one in encoded:
            if one.is_unread:
                raise _too_long(one.cut, self._plan.context_tokens, param)
            if one.cut and self._options.long_texts == "refuse":
                raise _too_long(one.tokens + one.cut, self._manifest.max_tokens, param)
            if not np.isfinite(one.embedding).all():
                raise ApiError(500, "the encoder computed no number: its files may be damaged")
        return encoded

    def _check_length(self, text: Text, param: str) -> None:
        most = CHARACTERS_PER_TOKEN * self._plan.context_tokens
        length = len(text) if isinstance(text, str) else sum(map(len, text))
        if length > most:
            raise ApiError(
                400,
                f"a text of {length:,} characters exceeds the context of {self._plan.context_tokens:,} tokens",
                code="context_length_exceeded",
                param=param,
            )

    async def _read(self, request: web.Request) -> dict[str, Any]:
        body = requests.read_json(await request.read())
        if body.get("model") != self._plan.model:
            name = str(body.get("model"))[:200]
            raise ApiError(404, f"the model {name!r} does not exist", code="model_not_found", param="model")
        return body


def _too_long(tokens: int, most: int, param: str) -> ApiError:
    return ApiError(
        400,
        f"a text of {tokens:,} tokens exceeds the context of {most:,} tokens",
        code="context_length_exceeded",
        param=param,
    )


def _error(error: ApiError) -> web.Response:
    body = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    headers = {} if error.retry_after_s is None else {"Retry-After": f"{error.retry_after_s:.0f}"}
    return web.json_response({"error": body}, status=error.status, headers=headers)
