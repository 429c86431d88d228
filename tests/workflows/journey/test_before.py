from pathlib import Path

import msgspec
import pytest
from tests.workflows.journey.rehearsal import MODEL, project, small_machine, training_project

from benchmarks import tiny_models
from freehold.datasets.building import samples
from freehold.hardware.gguf_header import Header
from freehold.hardware.probes.machine import probe_machine
from freehold.settings import load
from freehold.store import open_store
from freehold.types.asking import RecordedAsking
from freehold.types.config import UseProfile
from freehold.types.dataset import Sample
from freehold.types.finding import fail
from freehold.types.progress import Silent
from freehold.workflows.journey import before
from freehold.workflows.journey import before as looked
from freehold.workflows.journey.before import look_first, rented_addresses, reported
from freehold.workflows.journey.methods import Candidate, candidates
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.journey.steps import prepare
from freehold.workflows.project import open_project
from freehold.workflows.serve import tools


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


# What is said of each candidate before anything is spent: its licence, the terms of what it learns from, its room.

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


def settings(tmp_path):
    return load({"FREEHOLD_HOME": str(tmp_path / "home")})


def gguf(tmp_path):
    path = tmp_path / "base.gguf"
    tiny_models.write_header(tiny_models.SHAPES["llama"], "Q8_0", path)
    return path


def test_a_base_that_cannot_write_the_calls_that_requests_demand_fails(tmp_path, monkeypatch):
    def demanding(choice):
        asking = RecordedAsking(tool_choice=choice)
        return Sample(id="s", messages=(), tools=[{"type": "function"}], asking=asking)

    headers = {"tokenizer.chat_template": "{{ messages }}"}
    monkeypatch.setattr(tools, "read_header", lambda path: Header(str(path), headers, (), 1))
    base, samples = str(gguf(tmp_path)), [demanding("required"), demanding("auto")]
    (found,) = before.tool_findings(base, settings(tmp_path), samples)
    assert found.outcome == "fail" and "1 of 2 held-out requests demand a tool call" in found.text
    assert not list(before.tool_findings(base, settings(tmp_path), samples[1:]))
    headers["tokenizer.chat_template"] = "{{ tools }}"
    assert not list(before.tool_findings(base, settings(tmp_path), samples))
    # Not here yet: the catalog knows, or says nothing.
    (found,) = before.tool_findings("deepseek-ai/DeepSeek-R1", settings(tmp_path), samples)
    assert found.fix
    assert not list(before.tool_findings("org/nowhere", settings(tmp_path), samples))
