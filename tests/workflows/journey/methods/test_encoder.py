"""What is made of a sentence encoder. Weights, training and parity are stood in for."""

import dataclasses
import json
import shutil
from pathlib import Path

import msgspec
import pytest
from tests.workflows.journey.rehearsal import bench, candidate_of, quick_training, training_project

from freehold.errors import TrainingError, UsageError
from freehold.training.encoder.answers import form_of
from freehold.training.encoder.job import ANSWERS, JUDGED
from freehold.training.encoder.output import values
from freehold.types.config import MethodSettings
from freehold.types.dataset import Message, Sample
from freehold.types.encoder import EarlyEnd, EncoderManifest, EncoderModel, FieldHead
from freehold.types.evaluation import Task
from freehold.types.gates import EncoderReference
from freehold.types.model import Weights
from freehold.workflows.data.dataset import UnlabelledTraffic
from freehold.workflows.journey.methods import METHODS, NotMadeError, training
from freehold.workflows.journey.methods import encoder as method


@pytest.fixture
def opened(tmp_path, monkeypatch):
    return training_project(tmp_path, monkeypatch)


@pytest.fixture
def asked(opened, monkeypatch):
    asked = quick_training(monkeypatch)

    def train(**given):
        asked["train"].append(given)
        folder = given["out_dir"] / given["name"]
        folder.mkdir(parents=True, exist_ok=True)
        manifest = EncoderManifest(
            base_model="org/reader", base_sha256="b" * 64, width=4, answer="label",
            fields=(FieldHead(name="", kind="one", labels=("a", "b")),),
        )  # fmt: skip
        (folder / "encoder.json").write_bytes(msgspec.json.encode(manifest))
        (folder / "run").mkdir(exist_ok=True)
        for name in ("model.onnx", "tokenizer.json", "heads.safetensors", ANSWERS):
            (folder / name).write_bytes(name.encode())
        return EncoderModel(
            id="e" * 32, name=given["name"], path=str(folder), base_model="org/reader", base_sha256="b" * 64,
            dataset_id=given["dataset"].id, manifest=manifest, stage="frozen", seed=0, train_samples=30,
            train_seconds=1.0, validation_right=9, validation_asked=10, calibration_error=None, peak_memory_bytes=None,
            files={"encoder.json": "x"}, versions={}, made_from=(),
        )  # fmt: skip

    weights = Weights(
        model_id="org/reader", format="safetensors", quantization="F32", bytes=4, sha256="b" * 64, source="here",
        path=str(opened.state),
    )  # fmt: skip
    monkeypatch.setattr(training, "ensure_weights", lambda *arguments, **options: weights)
    monkeypatch.setattr(method, "train_encoder", train)
    monkeypatch.setattr(method.output, "read_answers", lambda encoder: [])
    monkeypatch.setattr(method, "encoder_parity", training.parity)
    return asked


def candidate(opened, **settings):
    return msgspec.structs.replace(candidate_of(opened, "encoder"), settings=MethodSettings(**settings))


def test_an_encoder_is_trained_and_served_by_its_engine(opened, asked):
    with bench(opened) as ready:
        one = candidate(opened)
        made = METHODS["encoder"].make(one, ready)
        assert ready.store.latest(EncoderModel) == made.encoder
        again = METHODS["encoder"].make(one, ready)
    assert (made.plan.engine, made.plan.model) == ("encoder", f"{one.model}:inbox")
    assert made.plan.weights_path == made.encoder.path == str(opened.state / "encoders" / "inbox")
    assert made.parity.passed
    assert made.fit.fits
    assert again.encoder == made.encoder
    assert len(asked["train"]) == 1, "what is done is not done again"


def test_what_learned_the_selection_split_does_not_answer_it(opened, asked, monkeypatch):
    def train(**given):
        encoder = plain(**given)
        folder = Path(encoder.path)
        shutil.copytree(folder, folder / JUDGED, ignore=shutil.ignore_patterns("run"))
        (folder / JUDGED / "heads.safetensors").write_bytes(b"others")
        return msgspec.structs.replace(encoder, relearned=True)

    plain = method.train_encoder
    monkeypatch.setattr(method, "train_encoder", train)
    with bench(opened) as ready:
        made = METHODS["encoder"].make(candidate(opened), ready)
    assert made.judged.weights_path == str(Path(made.plan.weights_path) / JUDGED)
    assert made.judged.identity != made.plan.identity and made.judged.model == made.plan.model


def test_messages_without_an_answer_are_given_to_a_base_that_may_be_tuned(opened, asked, monkeypatch):
    samples = [Sample(id=str(n), messages=(Message(role="user", content=f"text {n}"),)) for n in range(3)]
    found = UnlabelledTraffic(samples, {"answered elsewhere": 2})
    monkeypatch.setattr(method, "unlabelled_traffic", lambda *arguments: found)
    with bench(opened) as ready:
        METHODS["encoder"].make(candidate(opened), ready)
        project = ready.project
        data = msgspec.structs.replace(project.config.data, unlabelled=True)
        config = msgspec.structs.replace(project.config, data=data)
        ready = dataclasses.replace(ready, project=dataclasses.replace(project, config=config))
        METHODS["encoder"].make(candidate(opened, stage="frozen"), ready)
        METHODS["encoder"].make(candidate(opened), ready)
    assert [one["unlabelled"] for one in asked["train"]] == [(), (), ("text 0", "text 1", "text 2")]


def test_what_another_bar_ended_learns_on_and_what_went_to_its_end_stands(opened, asked, monkeypatch):
    def train_of(ended):
        real = method.train_encoder

        def train(**given):
            made = real(**given)
            return msgspec.structs.replace(
                made, ended=ended and EarlyEnd(why="enough", limits=given["limits"])
            )

        return train

    bars = iter([0.8, 0.85, 0.95])
    monkeypatch.setattr(method, "enough", lambda bench: next(bars))
    monkeypatch.setattr(method, "train_encoder", train_of(True))
    with bench(opened) as ready:
        METHODS["encoder"].make(candidate(opened), ready)
        METHODS["encoder"].make(candidate(opened), ready)
        assert len(asked["train"]) == 1, "nine of ten are right, which suffices for the second bar as well"
        shutil.rmtree(opened.state / "encoders")
        METHODS["encoder"].make(candidate(opened), ready)
    assert [one["limits"].enough for one in asked["train"]] == [0.8, 0.95]


@pytest.mark.parametrize("fault", [UsageError, TrainingError])
def test_what_cannot_be_trained_ends_this_candidate_alone(opened, asked, monkeypatch, fault):
    def train(**given):
        raise fault("answers are no closed set", hint='method = "lora"')

    monkeypatch.setattr(method, "train_encoder", train)
    with bench(opened) as ready:
        several = dataclasses.replace(ready, only_one=False)
        with pytest.raises(NotMadeError, match=r'no closed set \(method = "lora"\)'):
            METHODS["encoder"].make(candidate(opened), several)
        with pytest.raises(fault, match="no closed set"):
            METHODS["encoder"].make(candidate(opened), ready)


def test_a_trainer_and_a_scorer_that_mean_different_things_by_right_end_the_run():
    targets = ['["a", "b"]', '["b"]', '["c", "a"]', "[]"] * 25
    form = form_of(targets, [f"text {n}" for n in range(100)])

    def answered(answers):
        return [
            EncoderReference(
                sample=Sample(id=str(n), messages=(), gold=target), tokens=1, answer=answer, probability=0.9,
                right=values(form, answer) == values(form, target),
            )
            for n, (target, answer) in enumerate(zip(targets, answers, strict=True))
        ]  # fmt: skip

    permuted = answered([json.dumps(json.loads(target)[::-1]) for target in targets])
    task = Task(name="t", scorer="json_fields")
    method.same_count(task, permuted)
    method.same_count(task, answered(['["a"]'] * 100))
    ordered = msgspec.structs.replace(task, options={"ordered": ["answer"]})
    with pytest.raises(UsageError, match=r"trainer counts 100 \(100\.0%\), the scorer 50 \(50\.0%\)"):
        method.same_count(ordered, permuted)
