"""`freehold fit http://…`: what a running server has room for, by its own figures."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import anyio

from freehold import __version__
from freehold.errors import UnknownModelError, UpstreamError, WeightsError
from freehold.hardware import fit as fitting
from freehold.hardware.vllm_memory import kv_bytes
from freehold.late import aiohttp
from freehold.settings import Settings
from freehold.types.machine import Fit, FitPart, Workload
from freehold.types.model import Shape
from freehold.workflows.fit.sizes import size_model

SECONDS = 10.0
MOST_BYTES = 16 << 20
_CACHE = re.compile(r"^vllm:cache_config_info\{(.*)\}\s+1(?:\.0)?\s*$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class RunningServer(NamedTuple):
    """What a server says about itself: its first model, the longest request, and the room of its cache in tokens.

    `room_tokens` is None where it does not say; `root` is where its weights came from.
    """

    url: str
    model: str
    root: str | None
    context_tokens: int | None
    room_tokens: int | None
    utilisation: str | None
    cache_type: str | None


def fit_server(url: str, *, workload: Workload, settings: Settings) -> Fit:
    """Set a workload against a running vLLM server: its longest request and the cache it has made.

    The server's own figures decide; the model's shape, where freehold knows it, turns tokens into bytes.
    Raises `UpstreamError` when nothing answers there, or what answers does not say how much it holds.
    """
    server = anyio.run(_ask, url.rstrip("/"))
    if server.room_tokens is None:
        raise UpstreamError(
            f"{server.url} serves {server.model} and does not say how much its cache holds",
            hint="vLLM does, at /metrics; for other engines name the model or its file: freehold fit MODEL",
        )
    shape = _shape(server, settings)
    needed_tokens = workload.context_tokens * workload.concurrency
    per_token = None
    if shape is not None:
        one = Workload(context_tokens=server.context_tokens or workload.context_tokens, concurrency=1)
        per_token = kv_bytes(shape, one, _type(server)) / one.context_tokens
    longest = server.context_tokens or server.room_tokens
    fits = workload.context_tokens <= longest and needed_tokens <= server.room_tokens
    parts, available = _parts(workload, needed_tokens, server.room_tokens, per_token)
    made = Fit(
        id="",
        model=server.model,
        quantization="as served",
        machine=server.url,
        workload=workload,
        parts=parts,
        total_bytes=sum(part.bytes for part in parts),
        available_bytes=available,
        headroom_bytes=available - sum(part.bytes for part in parts),
        fits=fits,
        reasons=tuple(_reasons(server, workload, needed_tokens, longest, shape)),
        largest_context_tokens=min(longest, server.room_tokens // workload.concurrency) or None,
        kv_type=server.cache_type or "auto",
        engine="vllm",
        version=__version__,
    )
    return fitting.with_id(made)


def _parts(
    workload: Workload, needed_tokens: int, room: int, per_token: float | None
) -> tuple[tuple[FitPart, ...], int]:
    if per_token is None:
        return (), 0
    shown = f"{workload.context_tokens:,} tokens × {workload.concurrency} at once"
    part = FitPart(
        name="kv_cache", bytes=round(needed_tokens * per_token), basis=f"{shown}; weights are loaded already"
    )
    return (part,), round(room * per_token)


def _reasons(
    server: RunningServer, workload: Workload, needed_tokens: int, longest: int, shape: Shape | None
) -> list[str]:
    room = server.room_tokens or 0
    many = room // workload.context_tokens
    found = [f"its cache holds {room:,} tokens: {many:,} requests of {workload.context_tokens:,} at once"]
    if needed_tokens > room:
        found.append(f"asked for {needed_tokens:,} tokens at once: vLLM would make some requests wait")
    if workload.context_tokens > longest:
        found.append(f"asked for {workload.context_tokens:,} tokens, its longest request is {longest:,}")
    if server.utilisation:
        found.append(f"it takes {server.utilisation} of its accelerator's memory")
    if shape is None:
        found.append(
            f"the shape of {server.root or server.model} is not known here, so nothing is said in bytes"
        )
    return found


def _type(server: RunningServer) -> str:
    return "fp8" if (server.cache_type or "").startswith("fp8") else "auto"


def _shape(server: RunningServer, settings: Settings) -> Shape | None:
    for name in (server.root, server.model):
        if name is None:
            continue
        try:
            return size_model(name, settings=settings).shape
        except (UnknownModelError, WeightsError):
            continue
    return None


async def _ask(url: str) -> RunningServer:
    url = url.removesuffix("/v1")
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as http:
            async with http.get(f"{url}/v1/models") as reply:
                reply.raise_for_status()
                listed = await reply.json(content_type=None)
            async with http.get(f"{url}/metrics") as reply:
                metrics = (
                    (await reply.content.read(MOST_BYTES)).decode(errors="replace")
                    if reply.status == 200
                    else ""
                )
    except (TimeoutError, aiohttp.ClientError, ValueError) as error:
        raise UpstreamError(
            f"{url} does not answer /v1/models: {str(error) or type(error).__name__}",
            hint="the address of an OpenAI-compatible server, for example http://127.0.0.1:8000",
        ) from None
    return read(url, listed, metrics)


def read(url: str, listed: Any, metrics: str) -> RunningServer:
    """What `/v1/models` and `/metrics` say. Raises `UpstreamError` when the listing holds no model."""
    data = listed.get("data") if isinstance(listed, dict) else None
    first = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else None
    if first is None or not isinstance(first.get("id"), str):
        raise UpstreamError(f"{url} lists no model")
    found = _CACHE.search(metrics)
    labels = dict(_LABEL.findall(found.group(1))) if found else {}
    blocks, size = _whole(labels.get("num_gpu_blocks")), _whole(labels.get("block_size"))
    longest = first.get("max_model_len")
    root = first.get("root")
    return RunningServer(
        url=url,
        model=first["id"],
        root=root if isinstance(root, str) else None,
        context_tokens=longest if isinstance(longest, int) and longest > 0 else None,
        room_tokens=blocks * size if blocks and size else None,
        utilisation=labels.get("gpu_memory_utilization"),
        cache_type=labels.get("cache_dtype"),
    )


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
