"""The example of an exported encoder, in a fresh interpreter that has neither PyTorch nor freehold."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tests.engines.encoder.tiny import INTENT, LABELS, NUMBER, TONES, URGENCY, with_words_first
from tests.workflows.train.owned import owned_encoder

from freehold.encoders.answers import answer
from freehold.encoders.folder import read_manifest
from freehold.encoders.pairs import NUMBERS
from freehold.encoders.runner import load_runner
from freehold.encoders.words import learn
from freehold.progress import Silent
from freehold.types.encoder import FieldHead
from freehold.workflows.project import open_project
from freehold.workflows.train.encoder_export import export_encoder

pytestmark = pytest.mark.process

BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "freehold", "transformers", "safetensors", "sklearn", "msgspec"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
import runpy
sys.argv = ["ask.py", *sys.argv[1:]]
runpy.run_path("ask.py", run_name="__main__")
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n')
    monkeypatch.chdir(tmp_path)
    return open_project()


def asked(folder, *texts, program="ask.py"):
    """The lines that the example prints."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED.replace("ask.py", program), *texts],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"answer": "labels", "fields": (LABELS,)},
        {"answer": "json", "fields": (INTENT, URGENCY, TONES, NUMBER)},
    ],
)
def test_the_example_answers_as_the_server_does(project, fields):
    encoder = owned_encoder(project, prefix="please ", **fields)
    made = export_encoder(project, encoder, progress=Silent())
    folder = Path(made.path)
    manifest = read_manifest(folder)
    for text in ("where is my order", "cancel it now", "where is ab12 and (cd 34)?"):
        (read,) = load_runner(folder, threads=1, most_tokens=64).run([text])
        value = json.loads(answer(manifest, read, text).text) if fields else answer(manifest, read, text).text
        for field, line in zip(manifest.fields, asked(folder, f" {text} "), strict=True):
            given = ast.literal_eval(line.removeprefix(field.name).strip())
            wanted = value if manifest.answer != "json" else value[field.name]
            assert list(given) == (wanted if isinstance(wanted, list) else [wanted])
            assert all(0 < share <= 1 for share in given.values())


def test_the_example_takes_a_text_for_each_view(project):
    encoder = owned_encoder(project, views=("last", "assistant"))
    heads = load_file(Path(encoder.path) / "heads.safetensors")
    heads["0.weight"] = np.hstack([0 * heads["0.weight"], heads["0.weight"]])
    save_file(heads, Path(encoder.path) / "heads.safetensors")
    made = export_encoder(project, encoder, progress=Silent())
    assert made.usage == 'python ask.py "your text" "the turn before"'
    for texts in (("where", "cancel it"), ("where", "")):
        (read,) = load_runner(Path(made.path), threads=1, most_tokens=64).run([texts])
        told = answer(read_manifest(Path(made.path)), read, texts[0])
        ((label, share),) = ast.literal_eval(asked(made.path, *texts)[0].strip()).items()
        assert (label, share) == (told.text, pytest.approx(told.probability, abs=1e-5))


def test_the_example_reads_words(project):
    encoder = owned_encoder(project, views=("last", "assistant"))
    manifest = Path(encoder.path) / "encoder.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "words": True}))
    words = learn([["where is it? it is", "it's lost, is it?"], ["a refund", "a refund, please"]])
    (Path(encoder.path) / "words.json").write_bytes(words.as_json())
    heads = load_file(Path(encoder.path) / "heads.safetensors")
    heads["0.words"] = np.random.default_rng(0).normal(size=(4, len(words.weights))).astype("f4")
    save_file(heads, Path(encoder.path) / "heads.safetensors")
    made = export_encoder(project, encoder, progress=Silent())
    texts = ("Is it it? it's lost", "please, a refund")
    (read,) = load_runner(Path(made.path), threads=1, most_tokens=64).run([texts])
    told = answer(read_manifest(Path(made.path)), read, texts[0])
    ((label, share),) = ast.literal_eval(asked(made.path, *texts)[0].strip()).items()
    assert (label, share) == (told.text, pytest.approx(told.probability, abs=1e-5))


def test_the_example_lets_words_answer_first(project):
    encoder = owned_encoder(project)
    with_words_first(Path(encoder.path))
    made = export_encoder(project, encoder, progress=Silent())
    manifest = read_manifest(Path(made.path))
    for text, by in (("where is it", "words"), ("cancel", "encoder")):
        (read,) = load_runner(Path(made.path), threads=1, most_tokens=64).run([(text,)])
        assert (not read.embedding.any()) == (by == "words")
        told = answer(manifest, read, text)
        ((label, share),) = ast.literal_eval(asked(made.path, text)[0].strip()).items()
        assert (label, share) == (told.text, pytest.approx(told.probability, abs=1e-5))
        assert (label == "other") == (by == "words")


def test_the_example_gives_the_label_for_what_is_outside_all_others(project):
    field = FieldHead(
        name="", kind="one", labels=("here", "there", "other", "far"), outside=(2, 50.0), temperature=2.0
    )
    made = export_encoder(project, owned_encoder(project, fields=(field,)), progress=Silent())
    (read,) = load_runner(Path(made.path), threads=1, most_tokens=64).run(["where is it"])
    told = answer(read_manifest(Path(made.path)), read, "where is it")
    ((label, share),) = ast.literal_eval(asked(made.path, "where is it")[0].strip()).items()
    assert (label, share) == (told.text, pytest.approx(told.probability, abs=1e-5)) and label == "other"


def test_the_example_compares_two_texts_and_gives_the_median_of_grades(project):
    grades = FieldHead(name="", kind="one", labels=("2", "0", "1"), ordered=True)
    encoder = owned_encoder(project, fields=(grades,), marks=("A:", "B:"))
    heads = load_file(Path(encoder.path) / "heads.safetensors")
    heads["0.weight"] = np.random.default_rng(0).normal(size=(3, NUMBERS)).astype("f4")
    save_file(heads, Path(encoder.path) / "heads.safetensors")
    made = export_encoder(project, encoder, progress=Silent())
    texts = ("where is it", "where is my order")
    (read,) = load_runner(Path(made.path), threads=1, most_tokens=64).run([texts])
    told = answer(read_manifest(Path(made.path)), read, texts[0])
    ((label, share),) = ast.literal_eval(asked(made.path, *texts)[0].strip()).items()
    assert (label, share) == (told.text, pytest.approx(told.probability, abs=1e-5))


def test_the_example_is_about_twenty_five_lines(project):
    made = export_encoder(project, owned_encoder(project), progress=Silent())
    lines = [line for line in (Path(made.path) / "ask.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= 28 and all(len(line) < 120 for line in lines)


def test_a_student_of_words_is_one_file(project):
    encoder = owned_encoder(project, runs_on="words", words=True, stage="words")
    folder = Path(encoder.path)
    words = learn([["where is it? it is", "it's lost, is it?", "cancel it", "cancel"]])
    (folder / "words.json").write_bytes(words.as_json())
    rows = np.random.default_rng(0).normal(size=(4, len(words.weights))).astype("f4")
    heads = {"0.weight": np.zeros((4, 0), "f4"), "0.bias": np.zeros(4, "f4"), "0.words": rows}
    save_file(heads, folder / "heads.safetensors")
    made = export_encoder(project, encoder, progress=Silent())
    assert set(made.files) == {"student.pyz"} and made.notes == ()
    assert made.usage == 'python student.pyz "your text"'
    for text in ("Is it it? it's lost", "cancel"):
        (read,) = load_runner(folder, threads=1, most_tokens=64).run([text])
        told = answer(read_manifest(folder), read, text)
        ((label, share),) = ast.literal_eval(asked(made.path, text, program="student.pyz")[0].strip()).items()
        assert (label, share) == (told.text, pytest.approx(told.probability, abs=1e-5))
