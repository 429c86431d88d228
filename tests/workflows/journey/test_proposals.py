"""What is proposed to a project that names no candidate, and why."""

import pytest
from tests.workflows.journey.rehearsal import MODEL, Told, project

from freehold.errors import UsageError
from freehold.types.config_file import parse
from freehold.types.use import UseProfile
from freehold.workflows.journey import proposals
from freehold.workflows.journey.methods import METHODS
from freehold.workflows.journey.proposals import (
    LadderFacts,
    PickedModel,
    as_toml,
    known_candidates,
    ladder,
)
from freehold.workflows.journey.steps import prepare
from freehold.workflows.journey.suits import Unsuited
from freehold.workflows.project import open_project
from freehold.workflows.train.encoder import ENGLISH_BASE, MULTILINGUAL_BASE


@pytest.fixture(autouse=True)
def everything_is_here(monkeypatch):
    monkeypatch.setattr(proposals, "missing_extra", lambda method, model=None: None)
    monkeypatch.setattr(
        proposals, "why_not_here", lambda model, settings: None if model == MODEL else "no hub"
    )
    for name in ("encoder", "prompt"):
        monkeypatch.setitem(METHODS, name, METHODS["as_is"])


def proposed(**changed):
    facts = {"closed": True, "samples": 800, "foreign": 0.0, "use": UseProfile()}
    return [
        (one.candidate.model, one.candidate.method) for one in ladder(LadderFacts(**{**facts, **changed}))
    ]


def test_the_ladder_is_of_the_kind_of_answer_and_the_number_of_samples():
    words = ("words", "encoder")
    assert proposed() == [words, (ENGLISH_BASE, "encoder"), (MODEL, "lora")]
    assert proposed(foreign=0.4)[1] == (MULTILINGUAL_BASE, "encoder")
    assert words not in proposed(copies=True) and words not in proposed(samples=30)
    assert proposed(closed=False) == [(MODEL, "lora"), (MODEL, "examples")]
    larger = PickedModel("org/larger", "of this year")
    assert proposed(closed=False, writes=larger) == [("org/larger", "lora"), ("org/larger", "examples")]
    assert [method for _, method in proposed(closed=False, samples=30)] == ["examples", "as_is"]
    assert [method for _, method in proposed(closed=False, samples=0)] == ["as_is"]


def test_what_this_version_or_machine_cannot_make_is_left_out(monkeypatch):
    monkeypatch.delitem(METHODS, "encoder")
    assert proposed() == [(MODEL, "lora")]


def test_what_a_licence_forbids_is_left_out(monkeypatch):
    class Forbidden:
        outcome = "not_allowed"

    monkeypatch.setattr(proposals, "rule_for_model", lambda model, use: Forbidden)
    with pytest.raises(UsageError, match="no candidate could be proposed"):
        proposed()


def test_a_project_that_names_none_gets_it_with_a_note_each(tmp_path):
    opened = project(tmp_path, rows=400)
    path = opened.config_path
    path.write_text(path.read_text().partition("[[candidates]]")[0])
    opened = open_project(path)
    known, notes = known_candidates(opened, prepare(opened, progress=Told()))
    assert [one.method for one in known] == ["encoder", "encoder", "lora"] and len(notes) == 3
    assert notes[2].startswith(f"Proposed, since none is named: {MODEL} · lora (")
    assert (
        "top pick of freehold assess, cannot be had: no hub; the first that can stand in its place"
        in notes[2]
    )


def without(monkeypatch, *methods):
    lack = Unsuited("it needs x, which is not installed", "pip install 'freehold[x]'")
    monkeypatch.setattr(
        proposals, "missing_extra", lambda method, model=None: lack if method in methods else None
    )


def test_what_is_not_installed_is_left_out_and_named(tmp_path, monkeypatch):
    opened = project(tmp_path, rows=400)
    path = opened.config_path
    path.write_text(path.read_text().partition("[[candidates]]")[0])
    opened = open_project(path)
    dataset = prepare(opened, progress=Told())
    without(monkeypatch, "encoder")
    known, notes = known_candidates(opened, dataset)
    assert [one.method for one in known] == ["lora"]
    assert notes[-1] == f"Left out: {ENGLISH_BASE} · encoder, which needs pip install 'freehold[x]'."
    without(monkeypatch, "encoder", "lora")
    with pytest.raises(UsageError, match="nothing that makes a candidate is installed") as caught:
        known_candidates(opened, dataset)
    assert caught.value.hint == "pip install 'freehold[x]'"


def test_a_file_is_written_before_anything_is_installed(monkeypatch):
    without(monkeypatch, *METHODS)
    rungs = ladder(LadderFacts(closed=True, samples=800, foreign=0.0, use=UseProfile()))
    text = "\n".join(as_toml(rungs))
    assert text.count("# needs: pip install 'freehold[x]'") == len(rungs) == 3
    assert parse('[app]\nname = "x"\n' + text).candidates == tuple(one.candidate for one in rungs)


def test_an_engine_that_brings_its_models_is_asked_for_the_usual_one(tmp_path):
    opened = project(tmp_path, rows=60)
    path = opened.config_path
    head, _, serve = path.read_text().partition("[[candidates]]")
    path.write_text(head + "[serve]" + serve.partition("[serve]")[2])
    opened = open_project(path)
    known, notes = known_candidates(opened, prepare(opened, progress=Told()))
    assert [(one.model, one.method) for one in known] == [(MODEL, "as_is")] and notes == ()
