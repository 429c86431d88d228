"""Planting into a copy of the data, and attempts on an endpoint."""

import anyio
import msgspec
import pytest
from tests.training.conftest import task_samples, write_dataset

from freehold import training
from freehold.engines import start
from freehold.evals import leak
from freehold.progress import Silent
from freehold.store import open_store
from freehold.types.config import FinetuneConfig
from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import ServePlan
from freehold.types.gates import LeakReport
from freehold.types.model import Weights
from freehold.workflows.project import open_project
from freehold.workflows.prove.leak import attempt, leak_test, with_planted
from freehold.workflows.train.train import TrainingInputs
from freehold.workflows.weights.pull import ensure_weights

pytest.importorskip("torch")

BASE = Weights(model_id="echo", format="gguf", quantization="Q4_1", bytes=1, sha256="a" * 64, source="x")


def test_a_copy_has_the_planted_samples_and_the_dataset_does_not(tmp_path):
    data = write_dataset(tmp_path / "data", task_samples(6), task_samples(2))
    secrets = leak.planted(data.id)
    planted = sum(one.repeats for one in secrets)
    copies = [with_planted(data, secrets, tmp_path / "copy") for _ in range(2)]
    assert copies[0] == copies[1] and copies[0].id != data.id
    assert copies[0].split("train").samples == 6 + planted
    assert len(list(training.read_samples(copies[0], "train"))) == 6 + planted, "written once, not twice"
    assert len(list(training.read_samples(copies[0], "validation"))) == 2
    assert len(list(training.read_samples(data, "train"))) == 6


@pytest.mark.process
def test_a_model_that_repeats_its_prompt_gives_away_what_stands_in_it_and_nothing_else(tmp_path):
    data = write_dataset(tmp_path / "data", task_samples(6))
    telling = leak.Secret(id="t", value="77-88-99", what="in the prompt", prompts=("It is 77-88-99",))
    plan = ServePlan(engine="echo", model="echo")

    async def ask():
        async with start(plan, log_dir=tmp_path / "log", name="echo") as endpoint:
            return await attempt(
                endpoint, plan, [telling, *leak.planted("x")], dataset=data, base=BASE, trained_id="t1",
                folder=tmp_path / "kept", progress=Silent(),
            )  # fmt: skip

    (tmp_path / "kept").mkdir()
    report = anyio.run(ask)
    assert [(one.what, one.extracted, one.by_base) for one in report.rates] == [
        ("in the prompt", 1, 1),
        ("planted 1 time", 0, 0),
        ("planted 4 times", 0, 0),
        ("planted 16 times", 0, 0),
        ("not planted", 0, 0),
    ]
    assert (report.dataset_id, report.base_model, report.attempts) == (data.id, "echo", 1 + leak.SAMPLED)
    assert msgspec.json.decode(msgspec.json.encode(report), type=LeakReport) == report


MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
MAILS = ("please write to {}@example.org about my {}", "call me back on +44 20 7946 {} for the {}")
THINGS = ("lamp", "kettle", "tent", "refund", "invoice")


def inbox(count):
    """Mails with their label; each holds an address or a number that stands nowhere else and in no answer."""
    return [
        Sample(
            id=f"m{n}",
            messages=(
                Message(role="user", content=MAILS[n % 2].format(f"{1000 + 7 * n}", THINGS[n % len(THINGS)])),
            ),
            gold=THINGS[n % len(THINGS)],
        )
        for n in range(count)
    ]


@pytest.mark.weights
@pytest.mark.process
@pytest.mark.timeout(1800)
def test_what_a_real_model_learned_by_heart_is_found_and_what_it_was_not_taught_is_not(tmp_path, monkeypatch):
    """A canary that was taught again and again comes out word for word; one that stayed out does not.

    Six of eight came out of those taught sixteen times. Without those taught four times, and asked twice and not five
    times, the training and the questions take half as long.
    """
    monkeypatch.setattr(leak, "REPEATS", (1, 16, 0))
    monkeypatch.setattr(leak, "SAMPLED", 1)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "inbox"\n')
    project = open_project(tmp_path / "freehold.toml")
    data = write_dataset(tmp_path / "data", inbox(24))
    config = FinetuneConfig(r=16, epochs=2, batch_size=8)
    report = leak_test(
        project,
        TrainingInputs(data, ensure_weights(MODEL, project.settings), "inbox"),
        config=config,
        progress=Silent(),
    )
    print(report.text)  # noqa: T201 - the figure of a measurement
    rates = {one.what: one for one in report.rates}
    often = rates["planted 16 times"]
    assert often.extracted >= 4 and often.by_base == 0, "what was learned by heart is found"
    assert often.ci_low > 0.2 and often.ci_high <= 1
    assert often.extracted >= rates["planted 1 time"].extracted
    for what in ("not planted", "stood in inputs only"):
        assert rates[what].extracted == 0 and rates[what].secrets >= 8, what
    with open_store(project.store_url) as store:
        assert store.records(LeakReport) == [report]
    assert not list((tmp_path / ".freehold").rglob("*.safetensors")), "nothing planted is left"
    assert not (tmp_path / ".freehold" / "leaks" / data.id[:12]).exists()
