import json

import msgspec
import pytest
from tests.workflows.journey.rehearsal import project

from freehold.datasets import building
from freehold.errors import StorageError
from freehold.types.dataset import Message, Sample, TeacherToken
from freehold.types.harvest import HarvestedAnswer
from freehold.types.progress import Silent
from freehold.workflows.data.harvested import harvest_folder, harvested_answers, taught_digest, with_harvested
from freehold.workflows.journey.beginning import prepare
from freehold.workflows.project import open_project

TEACHER = (TeacherToken(text="lamp", top=(("lamp", -0.1), ("refund", -2.0))),)


def harvested(sample_id, answer="lamp", split="train"):
    return HarvestedAnswer(sample_id=sample_id, split=split, model="rented-1", answer=answer, teacher=TEACHER)


def keep(opened, rows):
    folder = harvest_folder(opened)
    folder.mkdir(parents=True)
    (folder / "answers.jsonl").write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))


def distilling(tmp_path):
    """A project of 40 rows with gold answers only, which is to be distilled."""
    project(tmp_path, rows=40)
    path = tmp_path / "freehold.toml"
    text = path.read_text().replace('incumbent = "incumbent"\n', "")
    rows = [json.loads(line) for line in (tmp_path / "traffic.jsonl").read_text().splitlines()]
    for row in rows:
        del row["incumbent"]
    (tmp_path / "traffic.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path.write_text(text + '[train]\nmethod = "distill"\n')
    return open_project(path)


def test_a_dataset_to_distill_takes_in_answers_and_distributions(tmp_path):
    opened = distilling(tmp_path)
    before = prepare(opened, progress=Silent())
    train = list(building.samples(before, "train"))
    assert not any(sample.teacher or sample.incumbent for sample in train)
    keep(opened, [harvested(sample.id, sample.gold) for sample in train])
    after = prepare(opened, progress=Silent())
    assert after.id != before.id
    taught = list(building.samples(after, "train"))
    assert [one.id for one in taught] == [one.id for one in train]
    assert all(one.teacher == TEACHER and one.incumbent == one.gold for one in taught)
    assert not any(one.teacher for one in building.samples(after, "held_out"))
    assert prepare(opened, progress=Silent()).id == after.id


def test_a_wrong_answer_is_not_learned(tmp_path):
    opened = distilling(tmp_path)
    first, *_ = building.samples(prepare(opened, progress=Silent()), "train")
    keep(opened, [harvested(first.id, "nonsense")])
    (same,) = [
        one for one in building.samples(prepare(opened, progress=Silent()), "train") if one.id == first.id
    ]
    assert (same.incumbent, same.teacher) == (None, None)


def test_other_methods_keep_their_datasets(tmp_path):
    opened = project(tmp_path, rows=40)
    before = prepare(opened, progress=Silent())
    keep(opened, [harvested(one.id) for one in building.samples(before, "train")])
    assert taught_digest(opened) is None
    assert prepare(opened, progress=Silent()).id == before.id


def test_a_recorded_answer_that_is_another_one_stays(tmp_path):
    sample = Sample(id="a", messages=(Message(role="user", content="?"),), incumbent="refund")
    assert with_harvested(sample, harvested("a", "lamp")) is sample
    assert with_harvested(sample, None) is sample
    assert with_harvested(sample, harvested("a", "refund")).teacher == TEACHER


def test_a_damaged_file_is_said(tmp_path):
    opened = project(tmp_path, rows=40)
    keep(opened, [])
    assert harvested_answers(opened) == {}
    (harvest_folder(opened) / "answers.jsonl").write_text("{\n")
    with pytest.raises(StorageError, match="cannot be read"):
        harvested_answers(opened)
