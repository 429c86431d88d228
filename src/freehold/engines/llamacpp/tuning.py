"""What was measured of llama.cpp's settings on a machine, for given weights, and what was best.

::

    <home>/engines/tuned/<id>.json            the finding; `id` is made of machine, engine and model
    <home>/engines/tuned/<id>.partial.json    trials of a run under way, so that an interrupted one goes on

Pure apart from reading and writing these two files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from freehold import files
from freehold.engines.llamacpp.native import StreamSpeed, cpu_name
from freehold.engines.weights.store import storage_errors
from freehold.types.record import Record, content_id

GAIN = 1.03
"""A setting takes the place of the simpler one before it when it is this much faster: less is noise."""
AGREEMENT = 0.9
"""Share of next tokens that must stay the same for a setting that changes the arithmetic to be taken."""


class LlamaSettings(Record, frozen=True, kw_only=True):
    """One way to run: what goes into a `ServePlan`. Options are those of `LlamaOptions`."""

    quantization: str
    weights_path: str
    weights_sha256: str
    threads: int
    kv_type: str = "f16"
    options: dict[str, Any] = {}

    def describe(self, before: LlamaSettings | None = None) -> str:
        """What is different from `before`, or all of it, in words."""
        old = msgspec.to_builtins(before) if before is not None else {}
        parts = []
        for name in ("quantization", "threads", "kv_type"):
            value = getattr(self, name)
            if value != old.get(name):
                parts.append(f"{name.replace('_', ' ')} {value}")
        was = old.get("options", {})
        new = {name: value for name, value in self.options.items() if was.get(name) != value}
        guess = new.pop("speculative", None)
        if guess is not None:
            sizes = [new.pop(name, self.options.get(name)) for name in ("match_tokens", "draft_tokens")]
            parts.append(f"guess by {guess} {sizes[0]}→{sizes[1]}")
        parts += [f"{name.replace('_', ' ')} {value}" for name, value in new.items()]
        return ", ".join(parts) or "as before"


class Trial(Record, frozen=True, kw_only=True):
    """One way measured. `seconds` is for a request of the size that was tuned for; `agreement` is the share of next
    tokens that are those of the first weights, where the way changes the arithmetic."""

    step: str
    settings: LlamaSettings
    seconds: float
    speed: StreamSpeed | None = None
    requests_per_second: float | None = None
    agreement: float | None = None
    taken: bool = False


class TuningResult(Record, frozen=True, kw_only=True):
    """The finding: `settings` are used by `freehold serve` from then on."""

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
    workload: str = ""
    load_average: float | None = None
    """Of the machine at the end: how much else ran while it was measured."""


def tuning_id(model: str, *, cores: int) -> str:
    """The same model on the same kind of CPU, with as many cores, gives the same id."""
    return content_id(["llamacpp", cpu_name(), cores, model.lower()])


def _file(home: Path, name: str) -> Path:
    return home / "engines" / "tuned" / f"{name}.json"


def read(home: Path, model: str, *, cores: int) -> TuningResult | None:
    """What was found for a model on this machine, when its weights are still there."""
    found = _decode(_file(home, tuning_id(model, cores=cores)), TuningResult)
    return found if found is not None and Path(found.settings.weights_path).is_file() else None


def write(home: Path, found: TuningResult) -> Path:
    """Keep a finding, and forget the run that led to it."""
    path = _write(_file(home, found.id), found)
    _file(home, f"{found.id}.partial").unlink(missing_ok=True)
    return path


class Partial(Record, frozen=True, kw_only=True):
    """A run under way. `asked` tells it apart from a run with other questions."""

    asked: str
    trials: tuple[Trial, ...]


def read_partial(home: Path, name: str, asked: str) -> list[Trial]:
    """Trials of an interrupted run that asked the same."""
    found = _decode(_file(home, f"{name}.partial"), Partial)
    return list(found.trials) if found is not None and found.asked == asked else []


def write_partial(home: Path, name: str, asked: str, trials: Iterable[Trial]) -> None:
    """Keep the trials so far."""
    _write(_file(home, f"{name}.partial"), Partial(asked=asked, trials=tuple(trials)))


def _write(path: Path, value: Record) -> Path:
    with storage_errors(path):
        files.write_json(path, value)
    return path


def _decode(path: Path, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None


def request_seconds(speed: StreamSpeed, *, prompt_tokens: int, completion_tokens: int) -> float:
    """Seconds for one request of this size at one stream."""
    return (
        prompt_tokens / speed.prompt_tokens_per_second
        + completion_tokens / speed.completion_tokens_per_second
    )


def choose(trials: Sequence[Trial], *, agreement: float = AGREEMENT) -> int:
    """The place of the trial to go on with: the first is what was there before, and stays unless another is
    `GAIN` times as fast and agrees with it. Raises `ValueError` for no trials.
    """
    if not trials:
        raise ValueError("nothing was tried")
    best = 0
    for place, trial in enumerate(trials):
        sound = trial.agreement is None or trial.agreement >= agreement
        limit = trials[0].seconds / GAIN
        if sound and trial.seconds <= limit and (best == 0 or trial.seconds < trials[best].seconds):
            best = place
    return best


def thread_counts(cores: int) -> list[int]:
    """Counts worth trying: all cores, half of them (one per physical core, often), all but one."""
    return sorted({cores, max(1, cores // 2), max(1, cores - 1)}, reverse=True)


def with_options(settings: LlamaSettings, **options: Any) -> LlamaSettings:
    """`settings` with some options replaced."""
    return msgspec.structs.replace(settings, options={**settings.options, **options})


def small_steps(settings: LlamaSettings, *, cores: int) -> dict[str, list[LlamaSettings]]:
    """The settings to try after quantization, step by step, each list without the present settings.

    The keys are the steps in order; what a step finds is the start of the next, so its lists are functions of the
    settings given: call again with what was found.
    """
    batch = settings.options.get("micro_batch", 512)
    now = settings.threads
    return {
        "threads": [
            msgspec.structs.replace(settings, threads=count) for count in thread_counts(cores) if count != now
        ],
        "batch": [with_options(settings, micro_batch=size) for size in (128, 256, 1024) if size != batch],
        "attention": [
            with_options(settings, flash_attention="on"),
            with_options(settings, flash_attention="off"),
            msgspec.structs.replace(with_options(settings, flash_attention="on"), kv_type="q8_0"),
            with_options(settings, flash_attention="off", key_type="q8_0"),
        ],
    }


def speculations(settings: LlamaSettings) -> list[LlamaSettings]:
    """Ways to guess ahead worth trying."""
    return [
        with_options(settings, speculative=kind, match_tokens=match, draft_tokens=draft)
        for kind, match, draft in (
            ("ngram-simple", 2, 6),
            ("ngram-simple", 3, 12),
            ("ngram-map-k", 2, 6),
            ("ngram-mod", 3, 12),
        )
    ]
