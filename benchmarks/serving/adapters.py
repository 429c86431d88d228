"""(d) An adapter by its name: time to the first token beside the base's, same engine, nothing reloaded."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import aiohttp
import msgspec
import numpy

from benchmarks.serving.common import Asked, Result, plan, tell
from freehold.engines.engine import start
from freehold.engines.traffic import made_up
from freehold.hardware.gguf_header import read_header
from freehold.types.endpoint import AdapterMount, Endpoint

MOST_MS = 50.0


def noise(path: Path, weights: str, *, seed: int, r: int = 16) -> Path:
    """An adapter of noise on all attention projections, as large as a real one of this rank."""
    import gguf

    header = read_header(Path(weights))
    writer = gguf.GGUFWriter(path, str(header.metadata["general.architecture"]))
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(r))
    random = numpy.random.default_rng(seed)
    for tensor in header.tensors:
        if ".attn_" in tensor.name and tensor.name.endswith(".weight") and len(tensor.dims) == 2:
            wide, high = tensor.dims
            for part, shape in (("lora_a", (r, wide)), ("lora_b", (high, r))):
                data = random.normal(0, 0.01, shape).astype(numpy.float32)
                writer.add_tensor(f"{tensor.name}.{part}", data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


async def measure(asked: Asked) -> list[Result]:
    """Base, one adapter, the other, by turns: each request switches."""
    base = plan(asked, parallel=1, context_tokens=512)
    assert base.weights_path is not None
    with tempfile.TemporaryDirectory() as folder:
        mounts = tuple(
            AdapterMount(
                name=f"{base.model}:{name}",
                path=str(noise(Path(folder) / f"{name}.gguf", base.weights_path, seed=seed)),
            )
            for seed, name in enumerate(("one", "two"))
        )
        session = start(msgspec.structs.replace(base, adapters=mounts), log_dir=asked.logs, name="adapters")
        async with (
            session as endpoint,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http,
        ):
            before = session.running.health().process_id
            names = [base.model, *(mount.name for mount in mounts)]
            bodies = iter(made_up(4096, prompt_tokens=48, completion_tokens=4))
            firsts: dict[str, list[float]] = {name: [] for name in names}
            for turn in range(max(10, 8 * asked.rounds)):
                for name in names:
                    took = await first_token_ms(http, endpoint, name, next(bodies))
                    if turn:
                        firsts[name].append(took)
            assert session.running.health().process_id == before, "the engine was restarted"
    median = {name: statistics.median(values) for name, values in firsts.items()}
    tell(", ".join(f"{name.rpartition(':')[2]} {value:.1f} ms" for name, value in median.items()))
    more = max(median[name] for name in names[1:]) - median[base.model]
    return [
        Result(
            "adapters",
            "first token after a switch, more than the base's",
            more,
            "ms",
            f"base {median[base.model]:.1f} ms, adapters "
            + " and ".join(f"{median[name]:.1f}" for name in names[1:]),
            f"≤ {MOST_MS:.0f}",
            more <= MOST_MS,
        )
    ]


async def first_token_ms(
    http: aiohttp.ClientSession, endpoint: Endpoint, name: str, body: dict[str, object]
) -> float:
    """From sending to the first piece of text."""
    served = endpoint.served(name)
    assert served is not None
    asked = {**body, "model": served.upstream_name, "stream": True, **served.extra_body}
    began = time.perf_counter()
    took = None
    async with http.post(f"{endpoint.base_url}/v1/chat/completions", json=asked) as reply:
        assert reply.status == 200, await reply.text()
        async for line in reply.content:
            if took is None and line.startswith(b"data:") and b'"content":"' in line:
                took = (time.perf_counter() - began) * 1000
    assert took is not None, "nothing was written"
    return took
