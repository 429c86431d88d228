"""Journeys to rehearse: a project on the shipped fake, one that trains a tiny base, and the bench of either."""

import json
from contextlib import contextmanager

import msgspec

from benchmarks import tiny_models
from freehold.hardware.probes import probe_machine
from freehold.progress import Silent
from freehold.store import open_store
from freehold.types.config import FinetuneConfig
from freehold.types.gates import ParityReport
from freehold.types.training import Adapter
from freehold.workflows.journey.methods.method import Bench, Candidate
from freehold.workflows.journey.steps import Steps, prepare
from freehold.workflows.project import open_project
from freehold.workflows.prove.task import task_of

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
CONFIG = """
[app]
name = "inbox"
[incumbent]
model = "rented-1"
[use]
mode = "internal"
commercial = true
[curate]
personal_data = "patterns"
[data]
files = ["traffic.jsonl"]
format = "columns"
input = "message"
label = "gold"
incumbent = "incumbent"
held_out = 0.5
[task]
scorer = "label"
margin = {margin}
[[candidates]]
model = "{model}"
[serve]
engine = "echo"
[serve.options]
in_process = true
rules = [{{ contains = "refund", answer = "refund" }}, {{ contains = "lamp", answer = "{lamp}" }}]
"""


class Told(Silent):
    """What the steps said, in order, and the sentences between them."""

    def __init__(self):
        self.steps, self.said = [], []

    def step(self, name, *, note=""):
        self.steps.append((name, note))

    def say(self, text):
        self.said.append(text)


def project(tmp_path, *, lamp="lamp", model=MODEL, margin=0.1, rows=400):
    (tmp_path / "freehold.toml").write_text(CONFIG.format(lamp=lamp, model=model, margin=margin))
    with (tmp_path / "traffic.jsonl").open("w") as file:
        for number in range(rows):
            gold = ("refund", "lamp")[number % 2]
            row = {
                "message": f"number {number} about a {gold}",
                "gold": gold,
                "incumbent": "lamp" if number % 50 == 0 else gold,
                "conversation_id": f"c{number}",
            }
            file.write(json.dumps(row) + "\n")
    return open_project(tmp_path / "freehold.toml")


def training_project(tmp_path, monkeypatch, *, train="", models=()):
    """A project whose candidates (default: a tiny GGUF of noise) are trained and served by llama.cpp."""
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FREEHOLD_OFFLINE", "1")
    project(tmp_path, rows=40)
    base = tmp_path / "tiny.gguf"
    tiny_models.write_header(tiny_models.SHAPES["llama"], "Q8_0", base)
    path = tmp_path / "freehold.toml"
    named = "\n[[candidates]]\nmodel = ".join(json.dumps(one) for one in models or (str(base),))
    text = path.read_text().partition("[serve]")[0].replace(json.dumps(MODEL), named)
    path.write_text(
        f'{text}[serve]\nengine = "llamacpp"\ncontext_tokens = 64\nparallel = 1\n[train]\n{train}'
    )
    return open_project(path)


@contextmanager
def bench(opened, *, progress=None, machine=None):
    """The bench of a project whose dataset is built, over a real store."""
    progress = progress or Silent()
    dataset = prepare(opened, progress=Silent())
    with open_store(opened.store_url) as store:
        yield Bench(
            project=opened,
            store=store,
            steps=Steps(store, progress),
            progress=progress,
            dataset=dataset,
            task=task_of(opened),
            machine=machine or probe_machine(opened.state),
            only_one=len(opened.config.models) == 1,
        )


def small_machine(opened, memory_bytes=1 << 20):
    """This machine with less memory than any engine takes."""
    return msgspec.structs.replace(
        probe_machine(opened.state), memory_bytes=memory_bytes, available_memory_bytes=memory_bytes
    )


def candidate_of(opened, method, place=0):
    return Candidate(model=opened.config.models[place], method=method)


def quick_training(monkeypatch, *, passed=True):
    """Stand-ins for the two slow steps: a training that leaves its files, and parity as told.

    Returns what each was asked for: ``train`` and ``parity``, keyword arguments by call.
    """
    asked = {"train": [], "parity": []}

    def train(**given):
        asked["train"].append(given)
        folder = given["out_dir"] / given["name"]
        folder.mkdir(parents=True)
        (folder / "adapter.gguf").write_bytes(b"GGUF")
        return trained(Adapter, folder, "adapter.gguf", given["config"], given["base"].sha256)

    def parity(project, **given):
        asked["parity"].append(given)
        return ParityReport(
            id=f"parity{len(asked['parity'])}", at="2026-03-01", version="1", model=given["plan"].model,
            adapter_id=None, engine=given["plan"].engine, passed=passed, causes=() if passed else ("template",),
            reasons=() if passed else ("the prompts differ",), prompts=8, prompts_equal=8 if passed else 0, tokens=9,
            token_agreement=1.0, distance=0.0, base_distance=None, stops=8, stops_equal=8, items=(),
        )  # fmt: skip

    monkeypatch.setattr("freehold.workflows.journey.methods.training.train", train)
    monkeypatch.setattr("freehold.workflows.journey.methods.training.parity", parity)
    return asked


def trained(kind, folder, name, config=None, base_sha256="b" * 64):
    """A manifest of one file, as training leaves it."""
    return kind(
        id="f" * 32, name="inbox", path=str(folder), base_model="org/base", base_sha256=base_sha256, dataset_id="d",
        config=config or FinetuneConfig(), template_sha256="t", seed=0, steps=1, train_tokens=1, train_seconds=1.0,
        final_loss=0.1, peak_memory_bytes=None, files={name: "e" * 64}, versions={}, made_from=(),
    )  # fmt: skip
