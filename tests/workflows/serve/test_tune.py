"""Tuning: which way is taken, what an interrupted run keeps, and that serving uses it. The engine is pretended."""

import msgspec
import pytest

from freehold.engines.llamacpp import native
from freehold.engines.llamacpp.measure import RequestSize
from freehold.engines.llamacpp.native import StreamSpeed
from freehold.engines.weights.store import WeightsStore
from freehold.errors import UsageError
from freehold.settings import load
from freehold.types.config import AppConfig, ProjectConfig
from freehold.types.endpoint import AdapterMount
from freehold.types.model import Weights
from freehold.types.progress import Silent
from freehold.workflows.project import Project
from freehold.workflows.serve import tune as tuner
from freehold.workflows.serve.plan import ServeRequest, pull_and_plan

MODEL = "org/tiny"


@pytest.fixture
def project(tmp_path):
    settings = load({"FREEHOLD_HOME": str(tmp_path / "home"), "FREEHOLD_THREADS": "2"})
    store = WeightsStore(settings.home)
    for name in ("Q4_1", "Q4_0", "Q8_0"):
        path = store.folder(MODEL) / f"{name}.gguf"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"GGUF" + name.encode())
        from freehold.engines.weights.check import sha256_of

        weights = Weights(
            model_id=MODEL,
            format="gguf",
            quantization=name,
            bytes=path.stat().st_size,
            sha256=sha256_of(path),
            source="file:x" if name == "Q4_1" else f"made:{name} from x",
            path=str(path),
        )
        store.record(weights, owned=True)
    return Project(
        root=tmp_path, config=ProjectConfig(app=AppConfig(name="t")), settings=settings, config_path=None
    )


class Machine:
    """Pretends to measure: speeds by quantization, threads, batch, cache; counts how often it is asked."""

    def __init__(self, monkeypatch):
        self.asked = 0
        self.dies_at = None
        self.agrees = {"Q4_0": 1.0, "Q8_0": 1.0}
        monkeypatch.setattr(tuner, "measure_interleaved", self.measure)
        monkeypatch.setattr(tuner, "drive_interleaved", self.beside)
        monkeypatch.setattr(tuner.agreement, "next_tokens", self.next_tokens)

    async def measure(self, plans, **_):
        self.asked += 1
        if self.asked == self.dies_at:
            raise KeyboardInterrupt
        return [self.speed(plan) for plan in plans]

    def speed(self, plan):
        prompt, write = {"Q4_1": (1000, 200), "Q4_0": (1100, 240), "Q8_0": (1200, 150)}[self.name(plan)]
        if plan.threads == 1:
            prompt, write = prompt * 0.6, write * 0.7
        if plan.options.get("micro_batch") == 256:
            prompt = prompt * 1.5
        if plan.kv_type == "q8_0":
            write = write * 0.9
        if plan.options.get("key_type") == "q8_0":
            write = write * 1.1
        return StreamSpeed(prompt_tokens_per_second=prompt, completion_tokens_per_second=write)

    async def beside(self, plans, workload, **_):
        self.asked += 1
        return [3.0 if plan.options.get("speculative") == "ngram-simple" else 2.0 for plan in plans]

    async def next_tokens(self, plan, **_):
        share = self.agrees.get(self.name(plan), 1.0)
        return [1] * round(100 * share) + [0] * round(100 - 100 * share)

    @staticmethod
    def name(plan):
        return plan.weights_path.rpartition("/")[2].removesuffix(".gguf")


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def tune(project, *, size=(400, 48), again=False, **asked):
    request = tuner.TuningRequest(size=RequestSize(*size), **asked)
    return tuner.tune(project, MODEL, request, again=again, progress=Silent())


def test_the_fastest_way_is_found_step_by_step(project, machine):
    found = tune(project)
    best = found.settings
    assert (best.quantization, best.threads, best.kv_type) == ("Q4_0", 2, "f16")
    assert best.options["micro_batch"] == 256 and best.options["speculative"] == "ngram-simple"
    assert found.speedup > 1.2
    assert [t.step for t in found.trials if t.taken] == [
        "quantization", "threads", "batch", "attention", "guessing ahead",
    ]  # fmt: skip


def test_what_is_asked_for_decides_the_quantization(project, machine):
    reads = tune(project, size=(4000, 4), again=True)
    assert reads.settings.quantization == "Q8_0"
    writes = tune(project, size=(10, 400), again=True)
    assert writes.settings.quantization == "Q4_0"


def test_a_quantization_that_changes_the_answers_is_not_taken(project, machine):
    machine.agrees = {"Q4_0": 0.7}
    found = tune(project)
    assert found.settings.quantization == "Q4_1"
    trial = next(t for t in found.trials if t.settings.quantization == "Q4_0")
    assert trial.agreement == 0.7 and not trial.taken
    assert tune(project, agree=0.6).settings.quantization == "Q4_0"


def test_an_interrupted_run_goes_on_where_it_stopped(project, machine):
    machine.dies_at = 3
    with pytest.raises(KeyboardInterrupt):
        tune(project)
    machine.dies_at, machine.asked = None, 0
    resumed = tune(project)
    ours = machine.asked
    machine.asked = 0
    assert tune(project, again=True).settings == resumed.settings
    assert ours == machine.asked - 2, "quantization and threads were not measured again"


def test_other_questions_do_not_go_on_with_old_trials(project, machine):
    machine.dies_at = 3
    with pytest.raises(KeyboardInterrupt):
        tune(project)
    machine.dies_at, machine.asked = None, 0
    tune(project, size=(900, 48))
    assert machine.asked == 6


def test_serving_uses_what_was_found_where_nothing_else_is_asked(project, machine):
    before = pull_and_plan(MODEL, ServeRequest(), project.settings)
    found = tune(project)
    plan = pull_and_plan(MODEL, ServeRequest(), project.settings)
    assert plan.weights_sha256 == found.settings.weights_sha256 != before.weights_sha256
    assert plan.options == found.settings.options and plan.threads == 2
    mine = pull_and_plan(MODEL, ServeRequest(options={"micro_batch": 99}, kv_type="q8_0"), project.settings)
    assert mine.options["micro_batch"] == 99 and mine.kv_type == "q8_0"
    assert "key_type" not in mine.options and "flash_attention" not in mine.options, "found for another cache"
    off = {"flash_attention": "off"}
    quantized = msgspec.structs.replace(
        found, settings=msgspec.structs.replace(found.settings, kv_type="q8_0")
    )
    tuner.tuning.write(project.settings.home, quantized)
    assert pull_and_plan(MODEL, ServeRequest(), project.settings).kv_type == "q8_0"
    assert pull_and_plan(MODEL, ServeRequest(options=off), project.settings).kv_type == "f16", (
        "which q8_0 would not go with"
    )
    tuner.tuning.write(project.settings.home, found)
    asked = pull_and_plan(MODEL, ServeRequest(quantization="Q4_1"), project.settings)
    assert asked.weights_sha256 == before.weights_sha256
    assert pull_and_plan(MODEL, ServeRequest(tuned=False), project.settings) == before
    other_machine = load({"FREEHOLD_HOME": str(project.settings.home), "FREEHOLD_THREADS": "7"})
    assert pull_and_plan(MODEL, ServeRequest(), other_machine).weights_sha256 == before.weights_sha256


def test_an_adapter_keeps_the_weights_it_belongs_to(project, machine):
    before = pull_and_plan(MODEL, ServeRequest(), project.settings)
    tune(project)
    mount = AdapterMount(name="m:a", path="a.gguf", base_sha256=before.weights_sha256)
    plan = pull_and_plan(MODEL, ServeRequest(), project.settings, adapters=[mount])
    assert plan.weights_sha256 == before.weights_sha256 and plan.options["micro_batch"] == 256


def test_a_finding_whose_weights_are_gone_is_not_used(project, machine):
    before = pull_and_plan(MODEL, ServeRequest(), project.settings)
    found = tune(project)
    WeightsStore(project.settings.home).remove(
        WeightsStore(project.settings.home).find(MODEL, found.settings.quantization)
    )
    assert pull_and_plan(MODEL, ServeRequest(), project.settings).weights_sha256 == before.weights_sha256


def test_only_gguf_and_sound_sizes(project, machine):
    with pytest.raises(UsageError, match="at least 1"):
        tune(project, size=(0, 48))
    with pytest.raises(UsageError, match="does not run on llama"):
        tuner.tune(project, "echo", progress=Silent())


def test_the_table_names_each_way_once(project, machine):
    import click.testing

    from freehold.cli.serve.tune_engine import tell

    found = tune(project)

    @click.command()
    def show():
        tell(found)

    out = click.testing.CliRunner().invoke(show).output
    assert "quantization Q4_1, threads 2" in out.splitlines()[1]
    assert out.count("as before  ") == 4 and "before all steps" in out
    assert "guess by ngram-simple 2→6" in out and f"{found.speedup:.2f} times as fast" in out


def test_missing_quantizations_are_written_by_the_build(project, machine, monkeypatch, tmp_path):
    program = tmp_path / "llama-quantize"
    program.write_text(
        "#!/bin/sh\n"
        'printf half > "$3"\n'
        'echo "[   1/   2] tensor"; echo "[   2/   2] tensor"\n'
        '[ "$4" != Q2_K ] || { echo "cannot do it"; exit 1; }\n'
        'printf "GGUF$4 anew" > "$3"\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(native, "quantize", lambda home: program)
    told = []

    class Told(Silent):
        def update(self, done, total, *, unit="", note=""):
            told.append((done, total, unit))

    from freehold.engines.llamacpp import requantize

    store = WeightsStore(project.settings.home)
    source = requantize.best_source([one.weights for one in store.list()])
    assert source.quantization == "Q4_1", "what was made here is no source"
    made = requantize.requantize(program, source, "Q5_K_M", store, Told())
    assert told == [(1.0, 2.0, "tensors"), (2.0, 2.0, "tensors")]
    assert made.source == f"made:Q5_K_M from {source.sha256}"
    assert store.find(MODEL, "Q5_K_M").weights == made
    assert store.find(MODEL).weights.quantization == "Q4_1", "what was pulled is meant by the bare name"
    assert requantize.requantize(program, source, "Q5_K_M", store, Silent()) == made
    with pytest.raises(Exception, match="cannot do it"):
        requantize.requantize(program, source, "Q2_K", store, Silent())

    class Interrupted(Silent):
        def update(self, done, total, *, unit="", note=""):
            assert list((store.root / ".partial").iterdir())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        requantize.requantize(program, source, "Q8_0", store, Interrupted())
    assert not list((store.root / ".partial").iterdir())
