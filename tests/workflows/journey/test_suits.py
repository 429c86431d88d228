"""Methods that do not go with a task are refused before anything is fetched, with one that would do."""

import json

import pytest
from tests.workflows.journey.rehearsal import Told, project

from freehold.workflows.journey import suits
from freehold.workflows.journey.methods import METHODS, candidates
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.journey.steps import prepare
from freehold.workflows.journey.suits import TaskFacts, suit_findings
from freehold.workflows.project import open_project
from freehold.workflows.prove.preflight import PreflightError

HOUSE = '[[endpoints]]\nname = "house"\nbase_url = "http://127.0.0.1:9"\n'
ONE = '[[candidates]]\nmodel = "org/a"\nmethod = "{}"\n'


def with_candidates(tmp_path, tables, *, engine="llamacpp", rows=None, validation="0.3"):
    opened = project(tmp_path, rows=60)
    path = opened.config_path
    head = path.read_text().partition("[[candidates]]")[0].replace("0.5", f"0.5\nvalidation = {validation}")
    path.write_text(f'{head}{tables}[serve]\nengine = "{engine}"\n')
    if rows is not None:
        (tmp_path / "traffic.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return open_project(path)


def found(opened):
    dataset = prepare(opened, progress=Told())
    findings = list(suit_findings(candidates(opened.config), TaskFacts(opened.config, dataset)))
    return [(one.outcome, one.text, one.fix or "") for one in findings]


def free_text(number):
    return {
        "message": f"number {number}: write to customer {number}",
        "gold": f"Dear customer {number}, thank you for your message about {number}.",
        "conversation_id": f"c{number}",
    }


@pytest.mark.parametrize(
    ("tables", "why", "way_out"),
    [
        (HOUSE + ONE.format("lora") + 'endpoint = "house"\n', "an endpoint gives none", "as_is"),
    ],
)
def test_what_cannot_be_made_is_told_with_the_way_out(tmp_path, monkeypatch, tables, why, way_out):
    monkeypatch.setattr(suits, "missing_extra", lambda method, model=None: None)
    ((outcome, text, fix),) = found(with_candidates(tmp_path, tables))
    assert outcome == "fail" and text.startswith("org/a · ") and why in text and way_out in fix


READS, WRITES = "sentence-transformers/all-MiniLM-L6-v2", "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.mark.parametrize(
    ("model", "method", "why", "way_out"),
    [
        (READS, "lora", "reads text and writes none", 'method = "encoder"'),
        (READS, "as_is", "reads text and writes none", 'method = "encoder"'),
        (WRITES, "encoder", "this model writes text", 'method = "lora"'),
    ],
)
def test_a_model_of_the_other_kind_is_refused_with_the_method_that_would_do(
    tmp_path, model, method, why, way_out
):
    tables = ONE.format(method).replace("org/a", model)
    ((outcome, text, fix),) = found(with_candidates(tmp_path, tables))
    assert outcome == "fail" and text.startswith(f"{model} · {method}") and why in text and way_out in fix
    elsewhere = f'{HOUSE}[[candidates]]\nmodel = "{READS}"\nmethod = "as_is"\nendpoint = "house"\n'
    assert found(with_candidates(tmp_path, elsewhere))[0][0] == "ok", (
        "an endpoint calls its models as it likes"
    )


def test_an_encoder_for_free_text_is_refused_with_what_would_do_and_nothing_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setitem(METHODS, "encoder", METHODS["lora"])
    opened = with_candidates(tmp_path, ONE.format("encoder"), rows=[free_text(n) for n in range(60)])
    told = Told()
    with pytest.raises(PreflightError, match="org/a · encoder") as caught:
        migrate(opened, progress=told)
    (first, *_) = caught.value.preflight.failed
    assert first.check == "candidates" and 'method = "lora"' in first.fix
    assert len(told.steps) == 2, "nothing was fetched"


def test_an_encoder_for_a_closed_set_suits_where_it_is_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(METHODS, "encoder", METHODS["lora"])
    opened = with_candidates(tmp_path, ONE.format("encoder"))
    monkeypatch.setattr(suits, "find_spec", lambda name: None)
    ((outcome, text, fix),) = found(opened)
    assert outcome == "fail" and "is not installed" in text and fix == "pip install 'freehold[encoder]'"
    monkeypatch.setattr(suits, "find_spec", lambda name: object())
    assert found(opened) == [("ok", "encoder can be made for this task", "")]


def test_nothing_is_trained_for_an_engine_that_brings_its_models(tmp_path):
    ((_, text, fix),) = found(with_candidates(tmp_path, ONE.format("lora"), engine="echo"))
    assert "nothing can be trained for it" in text and "as_is" in fix


def test_several_candidates_need_samples_to_choose_by(tmp_path):
    tables = ONE.format("as_is") + ONE.format("lora")
    ((outcome, text, fix),) = found(with_candidates(tmp_path, tables, validation="0.0"))
    assert outcome == "fail" and "no sample to choose one of them by" in text and "[data] validation" in fix
    assert found(with_candidates(tmp_path, tables))[0][0] == "ok"


def test_a_method_of_another_version_is_told_by_name(tmp_path, monkeypatch):
    monkeypatch.delitem(METHODS, "full")
    ((_, text, _),) = found(with_candidates(tmp_path, ONE.format("full")))
    assert "method full is not in this version" in text


def test_without_training_samples_what_learns_is_refused(tmp_path):
    opened = with_candidates(tmp_path, ONE.format("as_is"))
    dataset = prepare(opened, progress=Told())
    facts = TaskFacts(opened.config, dataset)
    facts.__dict__["training_samples"] = 0
    for method in ("lora", "examples"):
        (one,) = candidates(with_candidates(tmp_path, ONE.format(method)).config)
        assert "the dataset has none" in suits.unsuited_for(one, facts).why


@pytest.mark.parametrize(
    ("tables", "missing", "extra"),
    [
        (ONE.format("examples"), "bm25s", "examples"),
        (ONE.format("encoder") + ONE.format("examples"), None, None),
        (ONE.format("prompt") + 'system = "One word."\n', None, None),
    ],
)
def test_an_extra_that_a_method_lacks_is_told_before_anything_is_fetched(
    tmp_path, monkeypatch, tables, missing, extra
):
    monkeypatch.setattr(
        suits, "find_spec", lambda module: module if module == "sentence_transformers" else None
    )
    told = found(with_candidates(tmp_path, tables))
    if missing is None:
        assert [outcome for outcome, *_ in told] == ["ok"], told
        return
    ((outcome, text, fix),) = told
    assert outcome == "fail" and f"needs {missing}, which is not installed" in text
    assert fix == f"pip install 'freehold[{extra}]'"
