from pathlib import Path

import msgspec
import pytest
from tests.workflows.journey.rehearsal import MODEL, project, training_project

from freehold.datasets.building import samples
from freehold.progress import Silent
from freehold.store import open_store
from freehold.workflows.journey.before import look_first, rented_addresses, reported
from freehold.workflows.journey.beginning import prepare
from freehold.workflows.journey.methods import candidates
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.project import open_project


def look(opened, **options):
    dataset = prepare(opened, progress=Silent())
    with open_store(opened.store_url) as store:
        return look_first(opened, dataset, store, candidates(opened.config), **options)


def outcomes(found):
    return {one.check: one.outcome for one in found.findings}


def test_a_model_that_is_asked_as_it_is_needs_no_template_and_teaches_no_labels(tmp_path):
    found = look(project(tmp_path))
    said = {"candidates": "ok", "licence": "ok", "scorer": "ok", "margin": "ok", "looks": "ok"}
    assert outcomes(found) == said
    assert found.seconds < 10


def test_a_base_that_is_trained_is_looked_at_with_its_lengths_and_labels(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch)
    found = outcomes(look(opened))
    said = {"candidates", "licence", "fit", "scorer", "template", "lengths", "labels", "margin", "looks"}
    assert set(found) == said
    assert found["margin"] == "fail", "20 items"


def test_weights_that_cannot_be_had_are_said_with_what_can_stand_in_their_place(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch)
    path = opened.config_path
    text = path.read_text().replace("[[candidates]]", '[[candidates]]\nmodel = "org/far"\n[[candidates]]', 1)
    for kept, outcome in (
        (text, "warn"),
        (text.partition('[[candidates]]\nmodel = "/')[0] + "[serve]\n", "fail"),
    ):
        path.write_text(kept)
        (told,) = [one for one in look(open_project(path)).findings if one.check == "weights"]
        assert told.outcome == outcome and "org/far" in told.text and "FREEHOLD_OFFLINE forbids" in told.text
        assert told.fix == f'model = "{MODEL}" can stand in its place (freehold pull {MODEL})'


def test_a_remote_candidate_and_an_incumbent_that_will_be_paid_are_asked_for_their_models(tmp_path):
    project(tmp_path)
    path = tmp_path / "freehold.toml"
    text = path.read_text().partition("[serve]")[0]
    text = text.replace('model = "rented-1"', 'model = "rented-1"\nbase_url = "http://127.0.0.1:9/v1"')
    path.write_text(f'{text}[serve]\nengine = "remote"\noptions = {{ base_url = "http://127.0.0.1:9" }}\n')
    opened = open_project(path)
    said = [one.text for one in look(opened).failed]
    assert said == ["the candidate SmolLM2-135M-Instruct: nothing answers at http://127.0.0.1:9 within 4 s"]
    said = [one.text.partition(":")[0] for one in look(opened, freezes=True).failed]
    assert sorted(said) == ["the candidate SmolLM2-135M-Instruct", "the incumbent"]


MORE = """
[[candidates]]
model = "big"
endpoint = "house"
method = "as_is"
[[endpoints]]
name = "house"
base_url = "http://10.0.0.7:8000"
models = ["big"]
"""


def test_all_that_are_asked_elsewhere_are_named_before_anything_begins(tmp_path):
    assert rented_addresses(project(tmp_path)) == []
    path = tmp_path / "freehold.toml"
    text = path.read_text().partition("[[candidates]]")[0]
    text = text.replace('model = "rented-1"', 'model = "rented-1"\nbase_url = "http://127.0.0.1:9/v1"')
    judged = '[task]\nscorer = "judge"\noptions = { base_url = "http://127.0.0.1:7", model = "judge-1" }\n'
    path.write_text(text.replace('[task]\nscorer = "label"\n', judged) + MORE)
    asked = {(one.url, one.model) for one in rented_addresses(open_project(path))}
    assert asked == {
        ("http://10.0.0.7:8000", "big"),
        ("http://127.0.0.1:7", "judge-1"),
    }


@pytest.mark.parametrize(("margin", "same"), [(0.1, True), (0.12, False)])
def test_the_same_journey_again_is_known_by_its_report(tmp_path, margin, same):
    opened = project(tmp_path)
    migrate(opened, progress=Silent())
    again = project(tmp_path, margin=margin)
    dataset = prepare(again, progress=Silent())
    with open_store(again.store_url) as store:
        assert reported(store, again, dataset, candidates(again.config)) == same
        assert outcomes(look_first(again, dataset, store, candidates(again.config)))["looks"] == "warn"
        assert "looks" not in outcomes(
            look_first(again, dataset, store, candidates(again.config), looks=False)
        )


def test_a_right_answer_given_later_builds_the_dataset_again(tmp_path):
    """The number of traces stays what it was, and so did the dataset."""
    opened = project(tmp_path)
    before = prepare(opened, progress=Silent())
    assert prepare(opened, progress=Silent()).id == before.id
    with open_store(opened.store_url) as store:
        trace = next(iter(store.traces()))
        told = {"feedback": {"at": "2026-11-27T00:00:00+00:00"}}
        store.replace_trace(msgspec.structs.replace(trace, gold="both", metadata=trace.metadata | told))
    after = prepare(opened, progress=Silent())
    assert after.id != before.id and Path(before.path).is_dir()
    golds = [one.gold for name in ("train", "validation", "held_out") for one in samples(after, name)]
    assert golds.count("both") == 1
