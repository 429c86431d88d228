"""What was measured of llama.cpp's settings on a machine, and what was best: ``<home>/engines/tuned/<id>.json``, whose
`id` is made of machine, engine and model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from freehold import files
from freehold.engines.llamacpp.native import StreamSpeed, cpu_name
from freehold.engines.weights.store import storage_errors
from freehold.types.record import Record, content_id

GAIN = 1.03
"""A setting takes the place of the present one when it is this much faster: less is noise."""


class LlamaSettings(Record, frozen=True, kw_only=True):
    """One way to run: what goes into a `ServePlan`. Options are those of `LlamaOptions`."""

    threads: int
    options: dict[str, Any] = {}

    def describe(self) -> str:
        """The settings in words."""
        parts = [f"threads {self.threads}"]
        return ", ".join(
            parts + [f"{name.replace('_', ' ')} {value}" for name, value in self.options.items()]
        )


class Trial(Record, frozen=True, kw_only=True):
    """One way measured. `seconds` is for a request of the size that was tuned for."""

    settings: LlamaSettings
    seconds: float
    speed: StreamSpeed
    taken: bool = False


class TuningResult(Record, frozen=True, kw_only=True):
    """The finding: `settings` are used by `freehold serve` from then on. `load_average` is the machine's at the end:
    how much else ran while it was measured."""

    id: str
    model: str
    cpu: str
    cores: int
    prompt_tokens: int
    completion_tokens: int
    settings: LlamaSettings
    trials: tuple[Trial, ...]
    speedup: float
    at: str
    version: str
    load_average: float | None = None


def tuning_id(model: str, *, cores: int) -> str:
    """The same model on the same kind of CPU, with as many cores, gives the same id."""
    return content_id(["llamacpp", cpu_name(), cores, model.lower()])


def _file(home: Path, name: str) -> Path:
    return home / "engines" / "tuned" / f"{name}.json"


def read(home: Path, model: str, *, cores: int) -> TuningResult | None:
    """What was found for a model on this machine."""
    try:
        content = _file(home, tuning_id(model, cores=cores)).read_bytes()
        return msgspec.json.decode(content, type=TuningResult)
    except (OSError, msgspec.MsgspecError):
        return None


def write(home: Path, found: TuningResult) -> None:
    """Keep a finding."""
    path = _file(home, found.id)
    with storage_errors(path):
        files.write_json(path, found)


def request_seconds(speed: StreamSpeed, *, prompt_tokens: int, completion_tokens: int) -> float:
    """Seconds for one request of this size at one stream."""
    return (
        prompt_tokens / speed.prompt_tokens_per_second
        + completion_tokens / speed.completion_tokens_per_second
    )


def choose(trials: Sequence[Trial]) -> int:
    """The place of the fastest trial; the first is what was there before, and stays unless it is beaten by `GAIN`."""
    best = min(range(len(trials)), key=lambda place: trials[place].seconds)
    return best if trials[best].seconds <= trials[0].seconds / GAIN else 0


def ways(cores: int) -> list[LlamaSettings]:
    """The settings to try; the first are those without tuning."""
    tried = [
        LlamaSettings(threads=cores),
        LlamaSettings(threads=cores, options={"micro_batch": 128}),
        LlamaSettings(threads=cores, options={"micro_batch": 1024}),
        LlamaSettings(threads=cores, options={"flash_attention": "on"}),
        LlamaSettings(threads=cores, options={"flash_attention": "off"}),
    ]
    if cores > 1:
        tried.append(LlamaSettings(threads=cores // 2))
    return tried
