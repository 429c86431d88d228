"""What a log tells about the candidates of its project. The ladder itself: tests/workflows/journey/test_ladder.py."""

from freehold.catalog import models
from freehold.types.choosing import ModelLimits, Needs
from freehold.types.config import CandidateConfig
from freehold.types.config_file import parse
from freehold.workflows.choose.assess import assess
from freehold.workflows.journey import ladder
from freehold.workflows.journey.drafting import Guess
from freehold.workflows.journey.ladder import (
    QuestionLanguages,
    Rung,
    only_here,
    picked,
    proposed,
    task_kind,
)
from freehold.workflows.project import open_project
from freehold.workflows.train.encoder import MULTILINGUAL_BASE

LABELS = ["refund", "lamp"] * 150


def asked(languages, text, times):
    for _ in range(times):
        languages.add([{"role": "system", "content": "Sort it."}, {"role": "user", "content": text}])
    return languages


def test_the_language_of_the_questions_decides_which_encoder_is_proposed():
    english = asked(QuestionLanguages(), "Where is the parcel that I have ordered from you last week?", 50)
    assert english.foreign_share == 0
    german = asked(english, "Wo ist denn bitte das Paket, das ich letzte Woche bei Ihnen bestellt habe?", 50)
    assert german.foreign_share == 0.5
    (_, first, *_) = proposed(Guess("label", {}, ""), LABELS, german, 300)
    assert (first.candidate.model, first.candidate.method) == (MULTILINGUAL_BASE, "encoder")
    assert QuestionLanguages().foreign_share == 0, "of no question nothing is known"


def test_free_text_is_proposed_no_encoder():
    texts = [f"Thank you for letter {n}." for n in range(300)]
    rungs = proposed(Guess("exact", {}, ""), texts, QuestionLanguages(), 300)
    assert [one.candidate.method for one in rungs] == ["lora", "examples"]


def test_what_is_not_installed_is_a_remark():
    rungs = [
        Rung(CandidateConfig(model="a/b", method="encoder"), "why", "pip install 'freehold[encoder]'"),
        Rung(CandidateConfig(model="c/d", method="lora"), "why"),
    ]
    text = "\n".join(['[app]\nname = "a"', *only_here(rungs)])
    assert parse(text).candidates == (rungs[1].candidate,)
    assert "# left out: a/b · encoder, which needs pip install 'freehold[encoder]'" in text


def test_the_model_that_writes_is_the_first_of_the_shortlist_for_the_task(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    project = open_project(written(tmp_path))
    assert task_kind(Guess("label", {}, ""), LABELS) == "labels"
    needs = Needs(task="labels", prompt_tokens=60, completion_tokens=4, context_tokens=1024)
    monkeypatch.setattr(ladder, "why_not_here", lambda model, settings: None)
    found = picked(project, needs)
    shortlist = assess(project, stated=needs, limits=ModelLimits(trainable=True)).shortlist
    writing = [row.model for row in shortlist if row.method is None and models.get(row.model).instruct]
    first, second = writing[:2]
    assert (found.model, found.instead) == (first, None)
    (*_, lora) = proposed(Guess("label", {}, ""), LABELS, QuestionLanguages(), 300, writes=found)
    assert lora.candidate.model == found.model and "first of freehold assess" in lora.why
    monkeypatch.setattr(ladder, "why_not_here", lambda model, settings: "no hub" if model == first else None)
    found = picked(project, needs)
    assert found.model == second and found.instead.endswith(
        f"{first}, first of freehold assess, cannot be had: no hub"
    )


def written(folder):
    path = folder / "freehold.toml"
    path.write_text('[app]\nname = "a"\n[use]\ncommercial = true\n')
    return path


def test_a_key_for_few_labels_is_named_where_it_applies():
    few = [f"label {number % 30}" for number in range(300)]
    encoder = proposed(Guess("label", {}, ""), few, QuestionLanguages(), 300)[1]
    assert "[data] unlabelled lets it learn" in encoder.why
    plenty = proposed(Guess("label", {}, ""), LABELS, QuestionLanguages(), 300)[0]
    assert "unlabelled" not in plenty.why
