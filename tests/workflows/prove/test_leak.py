"""Planting into a copy of the data, and attempts on an endpoint."""

import anyio
import msgspec
import pytest
from tests.training.conftest import task_samples, write_dataset

from freehold import training
from freehold.engines import start
from freehold.errors import UsageError
from freehold.evals import leak
from freehold.types.config import FinetuneConfig
from freehold.types.endpoint import ServePlan
from freehold.types.leak import LeakReport
from freehold.types.model import Weights
from freehold.types.progress import Silent
from freehold.workflows.prove.leak import attempt, leak_test, with_planted

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
    ]
    assert (report.dataset_id, report.base_model, report.attempts) == (data.id, "echo", 1 + leak.SAMPLED)
    assert msgspec.json.decode(msgspec.json.encode(report), type=LeakReport) == report


def test_all_weights_are_not_trained_for_it():
    with pytest.raises(UsageError, match="method is full"):
        leak_test(None, None, config=FinetuneConfig(method="full"), progress=Silent())
