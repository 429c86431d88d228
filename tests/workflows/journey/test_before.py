"""What is said before anything is spent: candidates that suit, their licences and room, odd logs."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from tests.workflows.journey.rehearsal import MODEL, Told, project, small_machine, training_project

from freehold.datasets.building import samples
from freehold.errors import UsageError
from freehold.hardware.probes import probe_machine
from freehold.progress import Silent
from freehold.store import open_store
from freehold.training.encoder.answers import form_of
from freehold.training.encoder.prepared import prepare as taught
from freehold.types.finding import fail
from freehold.types.use import UseProfile
from freehold.workflows.journey import before as looked
from freehold.workflows.journey import suits
from freehold.workflows.journey.before import look_first, rented_addresses, reported
from freehold.workflows.journey.init import DraftRequest, draft
from freehold.workflows.journey.methods import METHODS, candidates
from freehold.workflows.journey.methods.method import Candidate
from freehold.workflows.journey.migrate import migrate
from freehold.workflows.journey.steps import prepare
from freehold.workflows.journey.suits import TaskFacts, suit_findings
from freehold.workflows.project import open_project
from freehold.workflows.prove.preflight import PreflightError


def look(opened, **options):
    dataset = prepare(opened, progress=Silent())
    with open_store(opened.store_url) as store:
        return look_first(opened, dataset, store, candidates(opened.config), **options)


def outcomes(found):
    return {one.check: one.outcome for one in found.findings}


def test_each_step_is_told_with_what_it_costs_as_a_range_where_it_is_estimated(tmp_path):
    opened = project(tmp_path)
    path = opened.config_path
    text = path.read_text().partition("[[candidates]]")[0]
    text += """
[[candidates]]
model = "words"
method = "encoder"
[[candidates]]
model = "big"
endpoint = "house"
[[candidates]]
model = "Qwen/Qwen3-1.7B"
method = "lora"
[[candidates]]
model = "Qwen/Qwen3-1.7B"
method = "examples"
[[candidates]]
model = "sentence-transformers/all-MiniLM-L6-v2"
method = "encoder"
[[candidates]]
model = "unknown/encoder"
method = "encoder"
[[endpoints]]
name = "house"
base_url = "http://127.0.0.1:9/v1"
models = ["big"]
price = { prompt = 1000, completion = 0 }
[selection]
within_minutes = 30
usd_per_hour = 2
"""
    path.write_text(text)
    told = [one.text for one in look(open_project(path)).findings if one.check == "cost"]
    assert told[:3] == [
        "rented-1 is not asked again: its recorded answers are compared with",
        "making and measuring candidates ends after 30 minutes ($1.00), with the best so far "
        "([selection] within_minutes)",
        "words · encoder: learned and measured in seconds",
    ]
    rented, here, shown, encoder, unknown, hour = told[3:]
    requests, usd = re.fullmatch(r"big · as_is at house: (\d+) requests, about \$(.+)", rented).groups()
    assert int(requests) > 200 and 0.015 < float(usd) / int(requests) < 0.05, "some 20 tokens each, at $1,000"
    span = r"about ([\d,.]+) (s|minutes) to ([\d,.]+) (s|minutes) \(\$.+ to \$.+\)"
    assert re.fullmatch(rf"Qwen/Qwen3-1.7B · lora: training {span}; answering [\d,]+ items {span}", here)
    assert re.fullmatch(rf"Qwen/Qwen3-1.7B · examples: answering [\d,]+ items {span}", shown)
    assert re.search(
        r"its heads about \d+ s to .+; where they do not suffice, tuning it .+ \(docs/benchmarks.md", encoder
    )
    assert unknown.endswith("not known before its texts are read: the catalog has no unknown/encoder")
    assert hour == "this machine counts $2 an hour ([selection] usd_per_hour)"


def test_a_base_that_is_trained_is_looked_at_with_its_lengths_and_labels(tmp_path, monkeypatch):
    opened = training_project(tmp_path, monkeypatch)
    found = outcomes(look(opened))
    said = {
        "candidates", "licence", "fit", "cost", "scorer", "template", "lengths", "labels", "margin",
        "evaluations",
    }  # fmt: skip
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
        assert told.fix == f'model = "{MODEL}" can stand in its place (freehold models pull {MODEL})'


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
        assert outcomes(look_first(again, dataset, store, candidates(again.config)))["evaluations"] == "warn"
        assert "evaluations" not in outcomes(
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
        "a letter from OpenAI",
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


def test_what_cannot_be_made_is_told_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(suits, "missing_extra", lambda method, model=None: None)
    tables = HOUSE + ONE.format("lora") + 'endpoint = "house"\n'
    ((outcome, text, fix),) = found(with_candidates(tmp_path, tables))
    assert (
        outcome == "fail"
        and text.startswith("org/a · ")
        and "an endpoint gives none" in text
        and "as_is" in fix
    )


READS, WRITES_of_suits = "sentence-transformers/all-MiniLM-L6-v2", "HuggingFaceTB/SmolLM2-135M-Instruct"


@pytest.mark.parametrize(
    ("model", "method", "why", "way_out"),
    [
        (READS, "lora", "reads text and writes none", 'method = "encoder"'),
        (READS, "as_is", "reads text and writes none", 'method = "encoder"'),
        (WRITES_of_suits, "encoder", "this model writes text", 'method = "lora"'),
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


def test_a_method_of_another_version_is_told_by_name(tmp_path, monkeypatch):
    monkeypatch.delitem(METHODS, "qlora")
    ((_, text, _),) = found(with_candidates(tmp_path, ONE.format("qlora")))
    assert "method qlora is not in this version" in text


def test_what_learns_is_refused_without_an_engine_for_it_or_samples(tmp_path):
    ((_, text, fix),) = found(with_candidates(tmp_path, ONE.format("lora"), engine="echo"))
    assert "nothing can be trained for it" in text and "as_is" in fix
    tables = ONE.format("as_is") + ONE.format("lora")
    ((outcome, text, fix),) = found(with_candidates(tmp_path, tables, validation="0.0"))
    assert outcome == "fail" and "no sample to choose one of them by" in text and "[data] validation" in fix
    assert found(with_candidates(tmp_path, tables))[0][0] == "ok"
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


MEGABYTE = "a long way to say so little " * 40_000


CONFIG = """
[app]
name = "odd"
[use]
commercial = true
[data]
files = ["train.jsonl"]
held_out_files = ["held.jsonl"]
format = "columns"
input = "message"
label = "gold"
[task]
scorer = "{scorer}"
margin = 0.1
[[candidates]]
model = "sentence-transformers/all-MiniLM-L6-v2"
method = "encoder"
"""


def log(path, pairs):
    path.write_text("".join(json.dumps({"message": text, "gold": gold}) + "\n" for text, gold in pairs))
    return path


def usual(count, first=0):
    golds = [("refund", "lamp")[n % 2] for n in range(first, first + count)]
    return [(f"number {first + n} about a {gold}", gold) for n, gold in enumerate(golds)]


def opened(tmp_path, train, held_out, *, scorer="label"):
    log(tmp_path / "train.jsonl", train)
    log(tmp_path / "held.jsonl", held_out)
    path = tmp_path / "freehold.toml"
    path.write_text(CONFIG.format(scorer=scorer))
    return open_project(path)


def look_of_bad_input(project):
    dataset = prepare(project, progress=Silent())
    with open_store(project.store_url) as store:
        return dataset, look_first(project, dataset, store, candidates(project.config))


@pytest.mark.parametrize(
    ("scorer", "answer", "said"),
    [("label", str, "1 of 3 labels of the held-out part are never taught: odd (10); that is 14.3% of its items"),
     ("json_fields", lambda label: json.dumps({"intent": f"queue {ord(label[0])}"}),
      "1 values of the held-out part are never taught: intent=queue 111 (10); an item with one is lost")],
)  # fmt: skip
def test_a_class_only_in_the_held_out_part_is_said_and_counted_as_lost(tmp_path, scorer, answer, said):
    only = [(f"something else {n}", "odd") for n in range(10)]
    rows = [
        [(text, answer(label)) for text, label in part] for part in (usual(200), [*usual(60, 900), *only])
    ]
    _, found = look_of_bad_input(opened(tmp_path, *rows, scorer=scorer))
    assert ("warn", said) in [(one.outcome, one.text) for one in found.findings if one.check == "labels"]


def test_a_label_seen_once_an_empty_message_and_a_megabyte_are_kept_and_counted(tmp_path):
    odd = [("only once", "single"), ("", "refund"), ("  ", "lamp"), (MEGABYTE, "lamp")]
    held_out = [*usual(60, 900), ("quite another text of a megabyte " * 30_000, "lamp"), ("", "lamp")]
    dataset, found = look_of_bad_input(opened(tmp_path, [*usual(200), *odd], held_out))
    assert not [one for one in found.failed if one.check != "margin"]
    kept = [one.messages[-1].content for split in ("train", "validation") for one in samples(dataset, split)]
    assert any(len(one) > 1_000_000 for one in kept) and "only once" in kept
    assert len(taught(dataset).train) == dataset.split("train").samples


def test_a_hundred_thousand_labels_are_no_closed_set_and_are_not_written_down(tmp_path):
    answers = [f"label {n // 2}" for n in range(200_000)]
    with pytest.raises(UsageError, match="no closed set: 100,000 different ones in 200,000 training samples"):
        form_of(answers, [""] * len(answers))
    rows = [(f"text {n}", f"label {n // 3}") for n in range(9_000)]
    draft(DraftRequest(folder=tmp_path, files=(log(tmp_path / "t.jsonl", rows),)))
    assert (tmp_path / "freehold.toml").stat().st_size < 10_000
