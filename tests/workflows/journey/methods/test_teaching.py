"""What a candidate is taught besides right answers. Judging is stood in for."""

import json

from tests.workflows.journey.rehearsal import bench, candidate_of, training_project

from freehold.datasets import building
from freehold.training.encoder.pseudo import Agreement
from freehold.types.teaching import Teaching
from freehold.workflows.data.curate import read_card
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.journey.methods import teaching
from freehold.workflows.journey.methods.teaching import taught
from freehold.workflows.project import open_project


def more_rows(opened, rows):
    with opened.path("traffic.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def opened_with(tmp_path, monkeypatch, *, pseudo=60, unlabelled=0):
    """A project with 160 right answers, and messages that only the incumbent answered, or nobody."""
    opened = training_project(tmp_path, monkeypatch)
    right = [
        {"message": f"right {n} about a {('refund', 'lamp')[n % 2]}", "gold": ("refund", "lamp")[n % 2]}
        for n in range(120)
    ]
    said = [
        {"message": f"said {n} of some thing", "incumbent": ("refund", "lamp")[n % 2]} for n in range(pseudo)
    ]
    nobody = [{"message": f"nobody has seen message {n} of this strange kind"} for n in range(unlabelled)]
    more_rows(opened, [*right, *said, *nobody])
    path = opened.config_path
    text = path.read_text().replace(
        "held_out = 0.5", f"held_out = 0.1\nunlabelled = {str(unlabelled > 0).lower()}"
    )
    path.write_text(text.replace("[[candidates]]", "[curate]\nnear_duplicates = 0\n[[candidates]]"))
    return open_project(path)


def judged_as(monkeypatch):
    """Pseudo-labels whose message has a number below ten are doubted."""
    jobs = []

    def judge(job):
        jobs.append(job)
        train = [one for one in building.samples(job.dataset, "train") if one.gold is None]
        doubted = [one.id for one in train if int(one.messages[-1].content.split()[1]) < 10]
        return Agreement(right_answers=100, pseudo=len(train), doubted=tuple(doubted))

    monkeypatch.setattr(teaching.pseudo, "judge", judge)
    return jobs


def training_weights():
    from freehold.types.model import Weights

    return Weights(
        model_id="org/reader",
        format="safetensors",
        quantization="F32",
        bytes=4,
        sha256="b" * 64,
        source="here",
    )


def candidate(opened):
    return candidate_of(opened, "encoder")


def test_doubted_answers_of_the_incumbent_are_not_learned(tmp_path, monkeypatch):
    opened = opened_with(tmp_path, monkeypatch)
    jobs = judged_as(monkeypatch)
    with bench(opened) as ready:
        found = taught(candidate(opened), ready, training_weights())
        again = taught(candidate(opened), ready, training_weights())
        said = list(building.samples(found.dataset, "train"))
        assert found.dataset.derived_from == ready.dataset.id
        assert all(int(one.messages[-1].content.split()[1]) >= 10 for one in said if one.gold is None)
        for split in ("validation", "held_out"):
            assert found.dataset.split(split).sha256 == ready.dataset.split(split).sha256
        assert find_dataset(ready.store).id == ready.dataset.id, (
            "the project's own is still the one that is meant"
        )
        assert find_dataset(ready.store, found.dataset.id) == found.dataset
        assert ready.store.latest(Teaching) == found.teaching
        card = read_card(found.dataset)
    assert "do not contradict them" in found.teaching.lines[0]
    assert found.teaching.lines[0] in card.taught
    assert again.dataset == found.dataset
    assert len(jobs) == 1, "judged once"


def test_too_few_right_answers_cannot_judge(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch)
    more_rows(opened, [{"message": f"said {n} of some thing", "incumbent": "lamp"} for n in range(60)])
    with bench(opened) as ready:
        assert taught(candidate(opened), ready, training_weights()).teaching is None, (
            "all are learned, as before"
        )


def test_messages_without_an_answer_and_doubted_ones_are_read(tmp_path, monkeypatch):
    opened = opened_with(tmp_path, monkeypatch, unlabelled=30)
    judged_as(monkeypatch)
    with bench(opened) as ready:
        found = taught(candidate(opened), ready, training_weights())
    texts = [one.messages[-1].content for one in found.messages]
    assert sum(text.startswith("nobody has seen") for text in texts) == 30
    assert all(text.startswith(("nobody has seen", "said ")) for text in texts)
    assert found.teaching.texts == len(texts)
