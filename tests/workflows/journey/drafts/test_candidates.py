"""What a log tells about the candidates of its project. The ladder itself: tests/workflows/journey/test_ladder.py."""

from freehold.catalog import models
from freehold.types.choosing import ModelLimits, Needs
from freehold.workflows.choose.assess import assess
from freehold.workflows.journey import ladder
from freehold.workflows.journey.drafting import Guess
from freehold.workflows.journey.ladder import QuestionLanguages, picked, proposed, task_kind
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
