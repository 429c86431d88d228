"""The program of an exported encoder, in a fresh interpreter that has neither PyTorch nor an installed freehold."""

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
from freehold.workflows.train.encoder_export import export_encoder

pytestmark = pytest.mark.process

BLOCKED = """
import sys
sys.path = [one for one in sys.path if not one.endswith("src")]
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "sklearn", "sentence_transformers", "scipy"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
import runpy
sys.argv = ["student.pyz", *sys.argv[1:]]
runpy.run_path("student.pyz", run_name="__main__")
import freehold
assert "student.pyz" in freehold.__file__
"""


def asked(folder, *texts):
    """The answer that the program prints, and its probability."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, *texts],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return told["answer"], told["probability"]


def answers_as_the_server(made, folder, *texts):
    """Whether the program says what the server does of the folder; returns the answer."""
    (read,) = load_runner(folder, threads=1).run([texts])
    told = answer(read_manifest(folder), read, texts[0])
    assert asked(made.path, *texts) == (told.text, pytest.approx(told.probability, abs=1e-5))
    return told.text


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"answer": "labels", "fields": (LABELS,)},
        {"answer": "json", "fields": (INTENT, URGENCY, TONES, NUMBER)},
    ],
)
def test_the_program_answers_as_the_server_does(project, fields):
    encoder = owned_encoder(project, prefix="please ", **fields)
    made = export_encoder(project, encoder, progress=Silent())
    for text in ("where is my order", "cancel it now", "where is ab12 and (cd 34)?"):
        answers_as_the_server(made, Path(made.path), text)


def test_the_program_takes_a_text_for_each_view(project):
    encoder = owned_encoder(project, views=("last", "assistant"))
    heads = load_file(Path(encoder.path) / "heads.safetensors")
    heads["0.weight"] = np.hstack([0 * heads["0.weight"], heads["0.weight"]])
    save_file(heads, Path(encoder.path) / "heads.safetensors")
    made = export_encoder(project, encoder, progress=Silent())
    assert made.usage == 'python student.pyz "your text" "the turn before"'
    assert answers_as_the_server(made, Path(made.path), "where", "cancel it") == "cancel"
    answers_as_the_server(made, Path(made.path), "where", "")


def test_the_program_compares_two_texts(project):
    grades = FieldHead(name="", kind="one", labels=("2", "0", "1"), ordered=True)
    encoder = owned_encoder(project, fields=(grades,), marks=("A:", "B:"))
    heads = load_file(Path(encoder.path) / "heads.safetensors")
    heads["0.weight"] = np.random.default_rng(0).normal(size=(3, NUMBERS)).astype("f4")
    save_file(heads, Path(encoder.path) / "heads.safetensors")
    made = export_encoder(project, encoder, progress=Silent())
    assert made.usage == 'python student.pyz "a text" "another text"'
    answers_as_the_server(made, Path(made.path), "where is it", "where is my order")


def test_the_program_lets_words_answer_first(project):
    encoder = owned_encoder(project)
    with_words_first(Path(encoder.path))
    made = export_encoder(project, encoder, progress=Silent())
    assert answers_as_the_server(made, Path(made.path), "where is it") == "other"
    assert answers_as_the_server(made, Path(made.path), "cancel") == "cancel"


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
        answers_as_the_server(made, folder, text)
