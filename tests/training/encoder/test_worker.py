"""A real training and its exported graph: the record, and what model, files and child process answer."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.training.encoder.conftest import json_samples, label_samples, sample, write_dataset

from freehold.encoders.answers import answer
from freehold.encoders.folder import read_manifest
from freehold.encoders.runner import load_runner
from freehold.errors import UsageError
from freehold.training import encoder
from freehold.training.encoder import output
from freehold.training.encoder.job import JUDGED
from freehold.training.encoder.worker import run_job
from freehold.types.encoder import EncoderConfig, EncoderManifest
from freehold.workflows.weights.pull import NO_WEIGHTS

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]


def job_of(tmp_path, base, train, validation, **config):
    dataset = write_dataset(tmp_path / "data", train, validation)
    return encoder.make(
        config=EncoderConfig(**config),
        threads=1,
        dataset=dataset,
        base=base,
        out_dir=tmp_path / "out",
        name="shop",
    )


def made(tmp_path, base, train, validation, **config):
    events = []
    job = job_of(tmp_path, base, train, validation, **config)
    assert run_job(job, events.append, lambda: False)
    return encoder.finished(job), events


def answered(folder, texts):
    """Answers by the files alone, as the README of the folder says."""
    import onnxruntime
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    manifest = msgspec.json.decode((folder / "encoder.json").read_bytes(), type=EncoderManifest)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding()
    rows = tokenizer.encode_batch([manifest.prefix + text for text in texts])
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    outputs = session.run(
        None,
        {
            "input_ids": np.array([row.ids for row in rows]),
            "attention_mask": np.array([row.attention_mask for row in rows]),
        },
    )
    named = dict(zip([one.name for one in session.get_outputs()], outputs, strict=True))
    embedding = named["embedding"]
    if manifest.normalize:
        embedding = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    heads = load_file(folder / "heads.safetensors")
    logits = [embedding @ heads[f"{at}.weight"].T + heads[f"{at}.bias"] for at in range(len(manifest.fields))]
    return manifest, logits, named


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, base_weights):
    """A model of labels, and what its training told."""
    folder = tmp_path_factory.mktemp("labelled")
    return made(folder, base_weights, label_samples(60), label_samples(45, 100))


@pytest.fixture(scope="module")
def of_fields(tmp_path_factory, base_weights):
    """A model of answers with fields."""
    folder = tmp_path_factory.mktemp("fields")
    return made(folder, base_weights, json_samples(120), json_samples(60, 300))[0]


def test_labels(labelled, base_weights):
    model, events = labelled
    assert model is not None
    assert model.validation_asked == 45
    assert model.validation_right >= 43
    assert {event.kind for event in events} >= {"start", "step", "eval", "end"}
    assert model.base_sha256 == base_weights.sha256
    assert set(model.files) == {"model.onnx", "tokenizer.json", "heads.safetensors", "encoder.json"}
    assert json.loads((Path(model.path) / "encoder.json").read_text())["version"] == 1


def test_what_the_trainers_model_answers_is_kept_and_is_what_its_files_answer(labelled):
    model, _ = labelled
    found = output.read_answers(model)
    assert [one.sample.id for one in found[:45]] == [one.id for one in label_samples(45, 100)]
    assert len(found) == 105 and {one.right for one in found[45:]} == {None}, "what was taught judges nothing"
    assert sum(one.right for one in found[:45]) == model.validation_right
    manifest, logits, _ = answered(Path(model.path), [one.sample.messages[1].content for one in found[:9]])
    assert [one.answer for one in found[:9]] == [
        manifest.fields[0].labels[at] for at in logits[0].argmax(axis=1)
    ]
    for one, row in zip(found, logits[0], strict=False):
        shares = np.exp(row / manifest.fields[0].temperature)
        assert one.probability == pytest.approx(float(shares.max() / shares.sum()), abs=1e-4)


def test_fields_lists_and_copies(of_fields):
    assert [field.kind for field in of_fields.manifest.fields] == ["one", "copied", "several"]
    assert of_fields.manifest.separators == (", ", ": ")
    assert of_fields.validation_right >= 50
    manifest, logits, named = answered(Path(of_fields.path), ["where is my order now number 1234"])
    assert manifest.fields[0].labels[logits[0].argmax()] == "order_status"
    assert named["token_embeddings"].shape[2] == manifest.width
    found = output.read_answers(of_fields)
    told = [json.loads(one.answer) for one in found]
    golds = [json.loads(one.sample.gold) for one in found]
    assert [one["intent"] for one in told] == [one["intent"] for one in golds]
    assert all(one["order"] is None or one["order"].isdigit() for one in told)
    assert all(0 < one.probability <= 1 for one in found)


def test_words_alone_are_a_student_as_any_other(tmp_path):
    model, events = made(tmp_path, NO_WEIGHTS, label_samples(90), label_samples(45, 200))
    assert (model.stage, model.manifest.runs_on, model.manifest.width) == ("words", "words", 0)
    assert set(model.files) == {"encoder.json", "heads.safetensors", "words.json"}
    assert model.validation_right >= 43 and model.calibration_error < 0.2
    assert any(event.message.startswith("words: ") for event in events if event.kind == "eval")
    assert sum(one.right for one in output.read_answers(model)[:45]) == model.validation_right


def test_what_chose_is_learned_in_the_end_and_answered_by_what_had_not(tmp_path):
    lost = [sample(300 + n, f"hello lamp {n}", "order_cancel") for n in range(10)]
    held = [*label_samples(35, 200), *lost]
    model, _ = made(tmp_path, NO_WEIGHTS, label_samples(90), held)
    assert (
        model.relearned and encoder.finished(job_of(tmp_path, NO_WEIGHTS, label_samples(90), held)) == model
    )
    served, judged = Path(model.path), Path(model.path) / JUDGED

    def given(folder):
        manifest, runner = read_manifest(folder), load_runner(folder, threads=1)
        texts = [one.messages[-1].content for one in held]
        read = zip(runner.run([[text] for text in texts]), texts, strict=True)
        return [answer(manifest, *one).text for one in read]

    assert given(served)[35:] == ["order_cancel"] * 10 != given(judged)[35:]
    right = [one == sample.target for one, sample in zip(given(judged), held, strict=True)]
    assert sum(right) == model.validation_right < sum(map(bool, given(served)))
    assert (served / "words.json").samefile(judged / "words.json")


def test_words_alone_copy_nothing(tmp_path):
    dataset = [sample(n, f"a parcel of {7 * n}", json.dumps({"number": f"{7 * n}"})) for n in range(60)]
    with pytest.raises(UsageError, match="words alone do not answer this"):
        made(tmp_path, NO_WEIGHTS, dataset, [])
