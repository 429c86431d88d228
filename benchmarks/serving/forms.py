"""(c) Labels and fields with shared instructions: served for that, beside the engine as it comes."""

from __future__ import annotations

import contextlib
import statistics

import msgspec

from benchmarks.serving.common import Asked, Result, built, plain_server, plan, tell
from benchmarks.serving.driving import drive, from_place
from benchmarks.serving.made_up import forms
from freehold.engines.engine import start

STREAMS = 4
LEAST = 2.0
SHORTEST = 8.0
"""Seconds of a slice at least: answers of some way take several, and only those that end within a slice count."""
GUESSES = {
    "prefix cache": {},
    "and guessing (ngram-simple 2/8)": {"speculative": "ngram-simple"},
}


async def measure(asked: Asked) -> list[Result]:
    """Requests a second at four streams. Defaults: llama-server with nothing but a model and an address, as built
    here and as prebuilt; without its prompt cache as well, which is on by default."""
    base = plan(asked, parallel=STREAMS)
    assert base.weights_path is not None
    default = plan(asked).weights_path
    assert default is not None
    async with contextlib.AsyncExitStack() as stack:
        ways = {
            "defaults": await stack.enter_async_context(plain_server(built(), default, name="defaults")),
            "defaults, no prefix reuse": await stack.enter_async_context(
                plain_server(built(), default, "--no-cache-prompt", name="nocache")
            ),
        }
        for name, options in GUESSES.items():
            made = msgspec.structs.replace(base, options={**base.options, "speculative": "off", **options})
            ways[name] = await stack.enter_async_context(
                start(made, log_dir=asked.logs, name=f"forms-{len(ways)}")
            )
        found: list[Result] = []
        for kind in ("classification", "extraction"):
            rates: dict[str, list[float]] = {name: [] for name in ways}
            bodies = forms(kind, count=2048)
            for way in ways.values():  # everybody has read the instructions once, and loaded what it needs
                await drive(way, way.models[0].name, bodies, STREAMS, seconds=SHORTEST / 2)
            for turn in range(asked.rounds):
                shifted = from_place(bodies, turn * len(bodies) // asked.rounds)
                for name, way in ways.items():
                    level = await drive(
                        way, way.models[0].name, shifted, STREAMS, seconds=max(asked.seconds, SHORTEST)
                    )
                    rates[name].append(level.requests_per_second)
                    tell(f"{kind}: {name}: {level.requests_per_second:.2f}/s")
            median = {name: statistics.median(values) for name, values in rates.items()}
            best = max(GUESSES, key=lambda name: median[name])
            for name in ("defaults", "defaults, no prefix reuse"):
                share = median[best] / median[name]
                found.append(
                    Result(
                        "forms",
                        f"{kind}, {best} over {name}",
                        share,
                        "×",
                        f"{median[best]:.2f} and {median[name]:.2f} requests/s",
                        f"≥ {LEAST}",
                        share >= LEAST,
                    )
                )
            found += [Result("forms", f"{kind}, {name}", median[name], "requests/s") for name in GUESSES]
    return found
