"""What a candidate is taught besides right answers. Judging is stood in for, the writer is a local API."""

import dataclasses
import json

import msgspec
import pytest
from tests.workflows.journey.paraphrasing.writer import Writer
from tests.workflows.journey.rehearsal import Told, bench, candidate_of, training_project

from freehold.datasets import building
from freehold.errors import UsageError
from freehold.store import open_store
from freehold.training.encoder.pseudo import Agreement
from freehold.types.config import MethodSettings, ParaphrasesConfig
from freehold.types.dataset import Dataset
from freehold.types.teaching import Teaching
from freehold.workflows.data.curate import read_card
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.journey.methods import NotMadeError, candidates, teaching, without_paraphrases
from freehold.workflows.journey.methods.teaching import extra_steps, taught
from freehold.workflows.license.rule import lineage_of
from freehold.workflows.project import open_project


def more_rows(opened, rows):
    with opened.path("traffic.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def opened_with(tmp_path, monkeypatch, *, pseudo=60, unlabelled=0, endpoint="http://127.0.0.1:9"):
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
    text = path.read_text().replace("held_out = 0.5", "held_out = 0.1\nunlabelled = true")
    house = f'[[endpoints]]\nname = "house"\nbase_url = "{endpoint}"\nmodels = ["writer"]\n'
    path.write_text(text.replace("[candidates]", f"[curate]\nnear_duplicates = 0\n{house}[candidates]"))
    return open_project(path)


def judged_as(monkeypatch, **right):
    """Pseudo-labels whose message has a number below ten are doubted; `right` is what was measured."""
    jobs = []

    def judge(job):
        jobs.append(job)
        train = [one for one in building.samples(job.dataset, "train") if one.gold is None]
        doubted = [one.id for one in train if int(one.messages[-1].content.split()[1]) < 10]
        asked = 100 if right else 0
        return Agreement(
            right_answers=100, pseudo=len(train), doubted=tuple(doubted), asked=asked, right=right
        )

    monkeypatch.setattr(teaching.agreement, "judge", judge)
    weights = training_weights()
    monkeypatch.setattr(teaching, "ensure_weights", lambda *arguments, **options: weights)
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


def candidate(opened, method="encoder", **settings):
    return msgspec.structs.replace(candidate_of(opened, method), settings=MethodSettings(**settings))


def test_doubted_answers_of_the_incumbent_are_not_learned(tmp_path, monkeypatch):
    opened = opened_with(tmp_path, monkeypatch)
    jobs = judged_as(monkeypatch, all=80, agreed=90, none=85)
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
    assert found.teaching.pseudo_labels.way == "agreed"
    assert "all 80.0%, agreed 90.0%, none 85.0%" in found.teaching.lines[0]
    assert found.teaching.lines[0] in card.taught
    assert again.dataset == found.dataset
    assert len(jobs) == 1, "judged once"


@pytest.mark.parametrize(
    ("settings", "right", "way", "kept"),
    [
        ({}, {"all": 90, "agreed": 90, "none": 85}, "all", True),
        ({"pseudo_labels": "agreed"}, {}, "agreed", True),
        ({"pseudo_labels": "none"}, {}, "none", False),
        ({}, {"all": 70, "agreed": 80, "none": 85}, "none", False),
    ],
)
def test_the_way_is_measured_or_stated(tmp_path, monkeypatch, settings, right, way, kept):
    opened = opened_with(tmp_path, monkeypatch)
    judged_as(monkeypatch, **right)
    with bench(opened) as ready:
        found = taught(candidate(opened, **settings), ready, training_weights())
    assert found.teaching.pseudo_labels.way == way
    assert any(one.gold is None for one in building.samples(found.dataset, "train")) is kept
    assert (found.dataset.derived_from is None) is (way == "all")


def test_other_methods_learn_all_unless_they_are_asked_to_doubt(tmp_path, monkeypatch):
    opened = opened_with(tmp_path, monkeypatch)
    jobs = judged_as(monkeypatch, all=80, agreed=90, none=85)
    with bench(opened) as ready:
        plain = candidate(opened, "lora")
        assert (taught(plain, ready, None).dataset, extra_steps(plain)) == (ready.dataset, 0)
        asked = candidate(opened, "lora", pseudo_labels="auto")
        assert taught(asked, ready, None).teaching.pseudo_labels.way == "agreed"
        assert extra_steps(asked) == 1
    assert jobs[0].base.model_id == "org/reader"


def test_too_few_right_answers_cannot_judge(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch)
    more_rows(opened, [{"message": f"said {n} of some thing", "incumbent": "lamp"} for n in range(60)])
    with bench(opened) as ready:
        assert taught(candidate(opened), ready, training_weights()).teaching is None, (
            "all are learned, as before"
        )
        with pytest.raises(UsageError, match="too few to tell which"):
            taught(candidate(opened, pseudo_labels="agreed"), ready, training_weights())
        several = dataclasses.replace(ready, only_one=False)
        with pytest.raises(NotMadeError, match="too few to tell which"):
            taught(candidate(opened, pseudo_labels="agreed"), several, training_weights())


def test_messages_without_an_answer_and_doubted_ones_are_read(tmp_path, monkeypatch):
    opened = opened_with(tmp_path, monkeypatch, unlabelled=30)
    judged_as(monkeypatch, all=80, agreed=90, none=85)
    with bench(opened) as ready:
        found = taught(candidate(opened, unlabelled="traffic"), ready, training_weights())
        assert not taught(candidate(opened), ready, training_weights()).messages
    texts = [one.messages[-1].content for one in found.messages]
    assert sum(text.startswith("nobody has seen") for text in texts) == 30
    assert all(text.startswith(("nobody has seen", "said ")) for text in texts)
    assert found.teaching.texts == len(texts)


@pytest.fixture
def writer():
    def write(text, number):
        kind = "refund" if "refund" in text else "lamp"
        return json.dumps(
            [f"{number} {word} on the {kind} of {number}" for word in ("ask", "tell", "call", "mail")]
        )

    model = Writer(write, lambda line: "refund" if "refund" in line else "lamp")
    yield model
    model.shutdown()
    model.server_close()


WANTED = ParaphrasesConfig(endpoint="house", per_class=4, budget_requests=20)


def few_right(tmp_path, monkeypatch, url):
    opened = opened_with(tmp_path, monkeypatch, pseudo=0, endpoint=url)
    path = opened.config_path
    path.write_text(path.read_text().replace("held_out = 0.1", "held_out = 0.1\nlimit = 24"))
    return open_project(path)


def test_paraphrases_are_learned_and_told_of(tmp_path, monkeypatch, writer):
    opened, told = few_right(tmp_path, monkeypatch, writer.url), Told()
    with bench(opened, progress=told) as ready:
        found = taught(candidate(opened, "lora", paraphrases=WANTED), ready, None)
        asked = len(writer.asked)
        taught(candidate(opened, "lora", paraphrases=WANTED), ready, None)
    assert len(writer.asked) == asked
    assert found.dataset.split("train").samples == 24 + 8
    assert found.dataset.written_by == {"writer": 8}
    assert found.teaching.paraphrases.kept == 8
    assert any("8 of 8 messages that writer wrote for 2 rare classes" in line for line in told.said)
    assert any(
        "8 training messages (25.0%) were written by writer" in line for line in card_lines(found.dataset)
    )
    edges = lineage_of("org/base", found.dataset).edges
    assert [(edge.kind, edge.model) for edge in edges][-1] == ("distilled_from", "writer")


def card_lines(dataset: Dataset):
    from freehold.datasets.card import card_in_short

    return card_in_short(read_card(dataset))


def test_a_candidate_with_paraphrases_is_made_without_them_first(tmp_path, monkeypatch):
    opened = few_right(tmp_path, monkeypatch, "http://127.0.0.1:9")
    path = opened.config_path
    head, _, tail = path.read_text().partition("[candidates]")
    tables = '[[candidates]]\nmodel = "m"\nmethod = "lora"\nparaphrases = { endpoint = "house", budget_requests = 9 }\n'
    path.write_text(head + tables + tail.partition("\n")[2].partition("\n")[2])
    config = open_project(path).config
    plain, with_them = candidates(config)
    assert without_paraphrases(with_them).settings == plain.settings
    assert (plain.name, with_them.name) == (None, "with paraphrases")
    assert config.chooses, "they are compared on the selection split"
    path.write_text(path.read_text() + '[[candidates]]\nmodel = "m"\nmethod = "lora"\nname = "plain"\n')
    assert [one.name for one in candidates(open_project(path).config)] == ["with paraphrases", "plain"]


def test_an_endpoint_that_cannot_be_asked_ends_this_candidate_alone(tmp_path, monkeypatch):
    opened = few_right(tmp_path, monkeypatch, "http://127.0.0.1:9")
    wanted = msgspec.structs.replace(WANTED, endpoint="nowhere")
    with bench(opened) as ready:
        several = dataclasses.replace(ready, only_one=False)
        with pytest.raises(NotMadeError, match="nowhere is not one of"):
            taught(candidate(opened, "lora", paraphrases=wanted), several, None)
    with open_store(opened.store_url) as store:
        assert not store.records(Teaching)
