"""The example of an exported encoder, in a fresh interpreter that has neither PyTorch nor freehold."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.engines.encoder.tiny import INTENT, LABELS, NUMBER, TONES, URGENCY
from tests.workflows.train.owned import owned_encoder

from freehold.encoders.folder import read_manifest
from freehold.encoders.runner import load_runner
from freehold.engines.encoder.answers import answer
from freehold.types.progress import Silent
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
sys.argv = ["ask.py", sys.argv[1]]
runpy.run_path("ask.py", run_name="__main__")
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "shop"\n')
    monkeypatch.chdir(tmp_path)
    return open_project()


def asked(folder, text):
    """The lines that the example prints."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, text],
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


def test_the_example_is_about_ten_lines(project):
    made = export_encoder(project, owned_encoder(project), progress=Silent())
    lines = [line for line in (Path(made.path) / "ask.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= 20 and all(len(line) < 120 for line in lines)
