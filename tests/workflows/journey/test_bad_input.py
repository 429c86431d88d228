"""Odd logs: each has a clear outcome before anything takes long, and what is lost by it is said."""

import json

import pytest

from freehold.datasets.building import samples
from freehold.errors import UsageError
from freehold.store import open_store
from freehold.training.encoder.answers import form_of
from freehold.training.encoder.prepared import prepare as taught
from freehold.types.progress import Silent
from freehold.workflows.journey.before import look_first
from freehold.workflows.journey.init import DraftRequest, draft
from freehold.workflows.journey.methods import candidates
from freehold.workflows.journey.steps import prepare
from freehold.workflows.project import open_project

MEGABYTE = "a long way to say so little " * 40_000


CONFIG = """
[app]
name = "odd"
[use]
commercial = true
[data]
files = ["train.jsonl"]
held_out_files = ["held.jsonl"]
format = "columns"
input = "message"
label = "gold"
[task]
scorer = "{scorer}"
margin = 0.1
[[candidates]]
model = "sentence-transformers/all-MiniLM-L6-v2"
method = "encoder"
"""


def log(path, pairs):
    path.write_text("".join(json.dumps({"message": text, "gold": gold}) + "\n" for text, gold in pairs))
    return path


def usual(count, first=0):
    golds = [("refund", "lamp")[n % 2] for n in range(first, first + count)]
    return [(f"number {first + n} about a {gold}", gold) for n, gold in enumerate(golds)]


def opened(tmp_path, train, held_out, *, scorer="label"):
    log(tmp_path / "train.jsonl", train)
    log(tmp_path / "held.jsonl", held_out)
    path = tmp_path / "freehold.toml"
    path.write_text(CONFIG.format(scorer=scorer))
    return open_project(path)


def look(project):
    dataset = prepare(project, progress=Silent())
    with open_store(project.store_url) as store:
        return dataset, look_first(project, dataset, store, candidates(project.config))


@pytest.mark.parametrize(
    ("scorer", "answer", "said"),
    [("label", str, "1 of 3 labels of the held-out part are never taught: odd (10); that is 14.3% of its items"),
     ("json_fields", lambda label: json.dumps({"intent": f"queue {ord(label[0])}"}),
      "1 values of the held-out part are never taught: intent=queue 111 (10); an item with one is lost")],
)  # fmt: skip
def test_a_class_only_in_the_held_out_part_is_said_and_counted_as_lost(tmp_path, scorer, answer, said):
    only = [(f"something else {n}", "odd") for n in range(10)]
    rows = [
        [(text, answer(label)) for text, label in part] for part in (usual(200), [*usual(60, 900), *only])
    ]
    _, found = look(opened(tmp_path, *rows, scorer=scorer))
    assert ("warn", said) in [(one.outcome, one.text) for one in found.findings if one.check == "labels"]


def test_a_label_seen_once_an_empty_message_and_a_megabyte_are_kept_and_counted(tmp_path):
    odd = [("only once", "single"), ("", "refund"), ("  ", "lamp"), (MEGABYTE, "lamp")]
    held_out = [*usual(60, 900), ("quite another text of a megabyte " * 30_000, "lamp"), ("", "lamp")]
    dataset, found = look(opened(tmp_path, [*usual(200), *odd], held_out))
    assert not [one for one in found.failed if one.check != "margin"]
    kept = [one.messages[-1].content for split in ("train", "validation") for one in samples(dataset, split)]
    assert any(len(one) > 1_000_000 for one in kept) and "only once" in kept
    assert len(taught(dataset).train) == dataset.split("train").samples


def test_a_hundred_thousand_labels_are_no_closed_set_and_are_not_written_down(tmp_path):
    answers = [f"label {n // 2}" for n in range(200_000)]
    with pytest.raises(UsageError, match="no closed set: 100,000 different ones in 200,000 training samples"):
        form_of(answers, [""] * len(answers))
    rows = [(f"text {n}", f"label {n // 3}") for n in range(9_000)]
    draft(DraftRequest(folder=tmp_path, files=(log(tmp_path / "t.jsonl", rows),)))
    assert (tmp_path / "freehold.toml").stat().st_size < 10_000
