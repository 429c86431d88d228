"""`freehold tune-engine`: find the fastest way to run a model here, by measuring, and use it from then on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import anyio
import msgspec

from freehold import __version__
from freehold.engines.cores import usable_cores
from freehold.engines.llamacpp import agreement, native, requantize, tuning
from freehold.engines.llamacpp.measure import RequestSize, measure_interleaved
from freehold.engines.llamacpp.tuning import LlamaSettings, Trial, TuningResult
from freehold.engines.traffic import RequestBodies, forms
from freehold.engines.traffic.interleaved import drive_interleaved
from freehold.engines.weights.store import WeightsStore
from freehold.errors import UsageError
from freehold.hardware.probes import probe_machine
from freehold.hardware.probes.cpu import load_average
from freehold.types.endpoint import ServePlan
from freehold.types.model import Weights
from freehold.types.progress import Progress
from freehold.types.record import Record, content_id
from freehold.workflows.project import Project, now
from freehold.workflows.serve.plan import ServeRequest, pull_and_plan

QUANTIZATIONS = ("Q4_0", "Q4_1", "Q8_0", "Q4_K_M")
"""Tried by default. F16 is half as fast as any of them on a CPU, and four times as large."""
ROUNDS = 5
LOADED_ROUNDS = 3
SLICE_SECONDS = 6.0
MOST_AT_ONCE = 5

Result = TypeVar("Result")


class TuningRequest(Record, frozen=True, kw_only=True):
    """What a model is made fast for: requests of this size at one stream, and at `parallel` streams with guessing
    ahead. A way that changes the arithmetic is only taken when at least `agree` of next tokens stay the same."""

    size: RequestSize = RequestSize()
    parallel: int = 4
    quantizations: tuple[str, ...] = QUANTIZATIONS
    agree: float = tuning.AGREEMENT


def tune(
    project: Project,
    model: str,
    request: TuningRequest = TuningRequest(),  # noqa: B008 (frozen)
    *,
    workload: RequestBodies | None = None,
    again: bool = False,
    progress: Progress,
) -> TuningResult:
    """Measure step by step, each next to what was best before, and keep what was found.

    Quantization, threads, batch, cache type and attention are measured at one stream; guessing ahead at several with
    `workload` (default: made-up forms). An interrupted run continues where it stopped; `again` starts over.

    Raises what pulling weights and starting the engine raise, and `UsageError`.
    """
    if min(*request.size, request.parallel) < 1 or not 0 < request.agree <= 1:
        raise UsageError("sizes and streams must be at least 1, and --agree a share above 0 up to 1")
    plan = pull_and_plan(
        model,
        ServeRequest(
            engine="llamacpp",
            context_tokens=2 * sum(request.size) + 256,
            parallel=1,
            tuned=False,
        ),
        project.settings,
        progress=progress,
    )
    return EngineTuning(project, plan, request, workload or forms("extraction"), progress).run(again=again)


class EngineTuning:
    """One run of `tune`: what is asked, what was measured so far, where it stands."""

    def __init__(
        self,
        project: Project,
        plan: ServePlan,
        request: TuningRequest,
        workload: RequestBodies,
        progress: Progress,
    ) -> None:
        if not plan.engine_kind.tunable or plan.weights_path is None or plan.weights_sha256 is None:
            raise UsageError(
                f"{plan.model} does not run on llama.cpp", hint="tune-engine is for GGUF weights"
            )
        self.project = project
        self.home = project.settings.home
        self.plan = plan
        self.request = request
        self.workload = workload
        self.progress = progress
        self.cores = project.settings.threads or usable_cores()
        self.id = tuning.tuning_id(plan.model, cores=self.cores)
        self.store = WeightsStore(self.home)
        self.trials: list[Trial] = []
        self._reference: list[int] | None = None
        self._request_id = ""

    def run(self, *, again: bool) -> TuningResult:
        """The steps in turn."""
        request = self.request
        first = self._present_settings()
        build = native.binary(self.home)
        self._request_id = content_id(
            [
                first,
                request.size,
                request.parallel,
                request.agree,
                list(request.quantizations),
                self.workload.about,
                str(build),
            ]
        )
        if not again:
            self.trials = tuning.read_partial(self.home, self.id, self._request_id)
            if self.trials:
                self.progress.say(f"going on after {len(self.trials)} measured ways of an interrupted run")
        best = self._step("quantization", [first, *self._quantized(first, request.quantizations)])
        for name in tuning.small_steps(best, cores=self.cores):
            best = self._step(name, [best, *tuning.small_steps(best, cores=self.cores)[name]])
        best = self._step("guessing ahead", [best, *tuning.speculations(best)], loaded=True)
        # For the sum of all steps, both ends next to each other: ratios of different minutes do not multiply.
        ends = self._measured("all steps", [first, best]) if best != first else []
        result = TuningResult(
            id=self.id,
            model=self.plan.model,
            cpu=native.cpu_name(),
            cores=self.cores,
            prompt_tokens=request.size.prompt_tokens,
            completion_tokens=request.size.completion_tokens,
            settings=best,
            trials=tuple(self.trials),
            speedup=ends[0].seconds / ends[1].seconds if ends else 1.0,
            at=now().isoformat(),
            version=__version__,
            workload=self.workload.about,
            load_average=load_average(),
        )
        tuning.write(self.home, result)
        return result

    def _present_settings(self) -> LlamaSettings:
        assert self.plan.weights_path is not None and self.plan.weights_sha256 is not None
        weights = self._stored(self.plan.weights_sha256)
        return LlamaSettings(
            quantization=weights.quantization if weights is not None else Path(self.plan.weights_path).stem,
            weights_path=self.plan.weights_path,
            weights_sha256=self.plan.weights_sha256,
            threads=self.cores,
        )

    def _stored(self, sha256: str) -> Weights | None:
        return next((one.weights for one in self.store.list() if one.weights.sha256 == sha256), None)

    def _quantized(self, first: LlamaSettings, names: Sequence[str]) -> list[LlamaSettings]:
        """Other quantizations of this model: those in the store, and those llama-quantize can write."""
        stored = [one.weights for one in self.store.list() if one.weights.model_id == self.plan.model]
        by_name = {one.quantization: one for one in stored if one.format == "gguf"}
        quantizer = native.quantize(self.home)
        source = requantize.best_source(stored)
        settings = []
        for name in dict.fromkeys(names):
            if name == first.quantization:
                continue
            weights = by_name.get(name)
            if weights is None and quantizer is not None and source is not None:
                weights = requantize.requantize(quantizer, source, name, self.store, self.progress)
            if weights is not None and weights.path is not None:
                settings.append(
                    msgspec.structs.replace(
                        first,
                        quantization=name,
                        weights_path=weights.path,
                        weights_sha256=weights.sha256,
                    )
                )
        if quantizer is None and len(settings) < len(names) - 1:
            self.progress.say(
                "only quantizations that are here are compared; freehold engines install llamacpp --native "
                "brings the program that writes others"
            )
        return settings

    def _step(self, name: str, ways: list[LlamaSettings], *, loaded: bool = False) -> LlamaSettings:
        """Measure the ways of a step that were not measured yet; the best of them."""
        if len(ways) < 2:
            return ways[0]
        trials = self._measured(name, ways, loaded=loaded)
        best = tuning.choose(trials, agreement=self.request.agree)
        for trial in trials:
            self.trials.remove(trial)
        marked = [msgspec.structs.replace(trial, taken=number == best) for number, trial in enumerate(trials)]
        self.trials += marked
        tuning.write_partial(self.home, self.id, self._request_id, self.trials)
        return marked[best].settings

    def _measured(self, name: str, ways: list[LlamaSettings], *, loaded: bool = False) -> list[Trial]:
        earlier = [
            next((t for t in self.trials if t.step == name and t.settings == way), None) for way in ways
        ]
        complete = [trial for trial in earlier if trial is not None]
        if len(complete) == len(ways):
            return complete
        # Ways are compared within one run only, so a step that was cut short is measured whole again.
        self.trials = [trial for trial in self.trials if trial.step != name]
        self.progress.step(f"measure {name}", note=", ".join(way.describe(ways[0]) for way in ways[1:]))
        measured = self._at_several_streams(name, ways) if loaded else self._at_one_stream(name, ways)
        self.trials += measured
        tuning.write_partial(self.home, self.id, self._request_id, self.trials)
        return measured

    def _at_one_stream(self, name: str, ways: list[LlamaSettings]) -> list[Trial]:
        """At one stream. The first way is in every group, and the others are put relative to it."""
        at_once = self._most_at_once(ways[0])
        trials: list[Trial] = []
        done = 0
        for start in range(1, len(ways), at_once - 1):
            group = [ways[0], *ways[start : start + at_once - 1]]

            def tell(now: int, total: int, before: int = done, size: int = len(group)) -> None:
                self.progress.update(before + now / total * size, len(ways) + 1, unit="ways")

            speeds = self._run(
                measure_interleaved,
                [self._plan(way) for way in group],
                log_dir=self.log_dir,
                rounds=ROUNDS,
                shape=self.request.size,
                tell=tell,
            )
            seconds = [tuning.request_seconds(speed, **self.request.size._asdict()) for speed in speeds]
            if not trials:
                trials.append(Trial(step=name, settings=ways[0], seconds=seconds[0], speed=speeds[0]))
            for way, speed, measured_seconds in list(zip(group, speeds, seconds, strict=True))[1:]:
                trials.append(
                    Trial(
                        step=name,
                        settings=way,
                        seconds=measured_seconds * trials[0].seconds / seconds[0],
                        speed=speed,
                        agreement=self._agreement(way, ways[0], measured_seconds < seconds[0]),
                    )
                )
            done += len(group)
        return trials

    def _agreement(self, way: LlamaSettings, first: LlamaSettings, faster: bool) -> float | None:
        """Only measured where it decides something: the arithmetic changed and the way is faster."""

        def arithmetic(one: LlamaSettings) -> tuple[Any, ...]:
            return one.weights_sha256, one.kv_type, one.options.get("key_type")

        if arithmetic(way) == arithmetic(first) or not faster:
            return None
        if self._reference is None:
            self._reference = self._run(
                agreement.next_tokens, self._plan(self._present_settings()), log_dir=self.log_dir
            )
        tokens = self._run(agreement.next_tokens, self._plan(way), log_dir=self.log_dir)
        return agreement.agreement(self._reference, tokens)

    def _at_several_streams(self, name: str, ways: list[LlamaSettings]) -> list[Trial]:
        """At several streams with real requests: the rate at which they are answered."""
        plans = [
            msgspec.structs.replace(self._plan(way), parallel=self.request.parallel, context_tokens=2048)
            for way in ways
        ]
        rates = self._run(
            drive_interleaved,
            plans,
            self.workload,
            streams=self.request.parallel,
            seconds=SLICE_SECONDS,
            rounds=LOADED_ROUNDS,
            log_dir=self.log_dir,
            tell=lambda done, total: self.progress.update(done, total, unit="slices"),
        )
        return [
            Trial(step=name, settings=way, seconds=self.request.parallel / rate, requests_per_second=rate)
            for way, rate in zip(ways, rates, strict=True)
        ]

    @property
    def log_dir(self) -> Path:
        return self.project.state / "engines"

    def _plan(self, way: LlamaSettings) -> ServePlan:
        return msgspec.structs.replace(
            self.plan,
            weights_path=way.weights_path,
            weights_sha256=way.weights_sha256,
            threads=way.threads,
            kv_type=way.kv_type,
            options={**self.plan.options, **way.options},
        )

    def _most_at_once(self, way: LlamaSettings) -> int:
        """How many engines fit next to each other: weights twice (some are repacked) and a quarter for the rest."""
        size = Path(way.weights_path).stat().st_size
        room = probe_machine(self.home).available_memory_bytes
        return max(2, min(MOST_AT_ONCE, int(room / (2.25 * size + (256 << 20)))))

    @staticmethod
    def _run(work: Callable[..., Awaitable[Result]], *arguments: Any, **named: Any) -> Result:
        async def run() -> Result:
            return await work(*arguments, **named)

        return anyio.run(run)
