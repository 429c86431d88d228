"""What is said of each candidate before anything is spent: its licence, the terms of what it learns from, its room."""

import msgspec
import pytest
from tests.workflows.journey.rehearsal import project, small_machine, training_project

from freehold.hardware.probes import probe_machine
from freehold.progress import Silent
from freehold.types.finding import fail
from freehold.types.use import UseProfile
from freehold.workflows.journey import candidate_findings as looked
from freehold.workflows.journey.beginning import prepare
from freehold.workflows.journey.methods import candidates
from freehold.workflows.journey.methods.method import Candidate

ENCODER = Candidate(model="sentence-transformers/all-MiniLM-L6-v2", method="encoder")
WORDS = Candidate(model="words", method="encoder")
WRITES = Candidate(model="Qwen/Qwen3-8B", method="lora")
SHOWN = Candidate(model="Qwen/Qwen3-8B", method="examples")
AS_IS = Candidate(model="Qwen/Qwen3-8B", method="as_is")


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A dataset whose targets are answers of a rented model."""
    dataset = prepare(project(tmp_path_factory.mktemp("learned")), progress=Silent())
    return msgspec.structs.replace(
        dataset, targets_from={"incumbent": 9}, incumbent_model="gpt-4o-2024-08-06"
    )


def ruled(dataset, *known, **use):
    found = list(looked.license_findings(dataset, known, UseProfile(commercial=True, **use)))
    return {one.text.partition(":")[0]: one for one in looked.of_all(found, known)}


def test_who_learns_a_rented_models_answers_is_told_so_with_what_would_decide_it(learned):
    found = ruled(learned, ENCODER, WORDS, WRITES, SHOWN, AS_IS)
    outcomes = {label.rpartition("/")[2]: one.outcome for label, one in found.items()}
    assert outcomes == {
        "all-MiniLM-L6-v2 · encoder": "ok",
        "words · encoder": "ok",
        "Qwen3-8B · lora": "warn",
        "Qwen3-8B · examples": "warn",
        "Qwen3-8B · as_is": "ok",
    }
    told = found[WRITES.label]
    assert "unclear" in told.text and "3.3(e)" in told.text and "hold" in told.text
    for way in (
        'purpose = "classifier"',
        "right answers that people gave",
        "an answer in writing from OpenAI",
    ):
        assert way in told.fix
    assert ruled(learned, WRITES, purpose="classifier")[WRITES.label].outcome == "ok"
    own = msgspec.structs.replace(learned, targets_from={"gold": 9})
    assert ruled(own, WRITES)[WRITES.label].outcome == "ok"


def test_it_does_not_begin_where_all_are_barred(learned):
    sold = {"purpose": "general chat assistant"}
    assert ruled(learned, WRITES, **sold)[WRITES.label].outcome == "fail"
    both = ruled(learned, WRITES, ENCODER, **sold)
    assert both[WRITES.label].outcome == "warn", "another is left"
    assert "would not be made" in both[WRITES.label].text


def test_what_ends_each_candidate_ends_the_journey_whatever_it_is():
    known = (WRITES, ENCODER)
    barred, gone = fail("licence", "no", "ask"), fail("weights", "no", "get them")
    both = [(WRITES, barred), (ENCODER, gone)]
    assert {one.outcome for one in looked.of_all(both, known)} == {"fail"}
    assert {one.outcome for one in looked.of_all([*both[:1], (WRITES, gone)], known)} == {"warn"}


def test_one_behind_an_endpoint_is_ruled_on_as_the_journey_will(learned):
    behind = msgspec.structs.replace(SHOWN, endpoint="house")
    assert ruled(learned, behind)[behind.label].outcome == "warn"


def test_the_room_each_takes_is_told_and_too_little_is_not_begun_with(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch)
    dataset = prepare(opened, progress=Silent())
    known, machine = candidates(opened.config), probe_machine(opened.state)

    def fits():
        found = looked.candidate_findings(opened, dataset, known, machine)
        return [one for one in found if one.check == "fit"]

    assert [one.outcome for one in fits()] == ["ok", "ok"]
    assert ["serving" in one.text for one in fits()] == [True, False]
    machine = small_machine(opened)
    assert "fail" in {one.outcome for one in fits()}
