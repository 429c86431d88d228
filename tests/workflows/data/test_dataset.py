"""What happens to samples on their way into a dataset, and the card that says so."""

import json
import stat
from pathlib import Path

import pytest
from tests.workflows.data.building import TOML, fill, project_of, question, trace
from tests.workflows.journey.rehearsal import project

from freehold.datasets import building
from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.config import parse
from freehold.types.progress import Silent
from freehold.types.trace import Trace
from freehold.workflows.data import curate
from freehold.workflows.data import dataset as workflow
from freehold.workflows.data.curate import read_card
from freehold.workflows.data.dataset import unanswered, unlabelled_traffic
from freehold.workflows.journey.beginning import prepare
from freehold.workflows.project import now, open_project
from freehold.workflows.prove.preflight.data import shift_findings


def test_the_same_person_is_the_same_placeholder_in_all_splits(tmp_path):
    project = project_of(tmp_path)
    fill(
        project,
        [
            trace(n, f"{question(n)} I am ada@example.com", incumbent="mail ada@example.com")
            for n in range(60)
        ],
    )
    dataset = workflow.build(project)
    short = curate.data_in_short(dataset)
    assert any("personal data: looked for by built-in patterns" in line for line in short)
    assert any("answered by gpt-4o-2024-08-06" in line for line in short)
    assert not any("lamp" in line for line in short), "nothing of any sample"
    text = "".join((Path(dataset.path) / f"{name}.jsonl").read_text() for name in ("train", "held_out"))
    assert "ada@example.com" not in text
    assert len({word for word in text.replace('"', " ").split() if word.startswith("<EMAIL_")}) == 1
    card = curate.read_card(dataset)
    assert card.replaced["EMAIL"].different == 1 and card.replaced["EMAIL"].samples == 60
    key = project.state / curate.KEY
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and len(key.read_bytes()) == 32


def test_wrong_answers_of_the_incumbent_are_not_learned_but_stay_held_out(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, question(n), incumbent="no" if n % 2 else "Yes") for n in range(80)])
    dataset = workflow.build(project)
    taught = list(building.samples(dataset, "train"))
    compared = [*building.samples(dataset, "held_out"), *building.samples(dataset, "validation")]
    assert {sample.incumbent for sample in taught} == {"Yes", None}
    assert {sample.incumbent for sample in compared} == {"Yes", "no"}
    right = curate.read_card(dataset).incumbent_right
    assert (right["scored"], right["right"]) == (80, 40)
    assert right["not_learned"] == sum(sample.incumbent is None for sample in taught)


def test_the_card_says_whose_answers_are_learned_from(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, question(n), gold=None) for n in range(60)])
    terms = " ".join(curate.read_card(workflow.build(project)).terms)
    assert "gpt-4o-2024-08-06" in terms and "ruling for" in terms


def test_one_label_only_and_few_samples_are_warned_of(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, question(n)) for n in range(20)])
    warnings = " ".join(curate.read_card(workflow.build(project)).warnings)
    assert "have the same answer" in warnings and "are few" in warnings and "prove little" in warnings


def test_files_held_out_whole_leave_the_others_to_training():
    def share(data):
        return curate.recipe_of(project_of(Path(), TOML + f"[data]\n{data}")).held_out

    assert share("") == 0.2
    assert share('held_out_files = ["test.jsonl"]') == 0
    assert share('held_out_files = ["test.jsonl"]\nheld_out = 0.1') == 0.1
    assert share("held_out = 0") == 0


@pytest.mark.parametrize(
    ("data", "candidates", "traces", "share"),
    [
        ("validation = 0.1\n", "ab", 1000, 0.1),
        ("", "a", 1000, 0.05),
        ("", "ab", 1000, 0.2),
        ("", "ab", 20_000, 0.1),
        ("", "ab", 4000, 0.2),
        ("", "ab", 100_000, 0.05),
        ("", "ab", 40, 0.25),
        ("", "ab", None, 0.05),
    ],
)
def test_the_selection_split_is_as_large_as_choosing_is_worth(data, candidates, traces, share):
    tables = "".join(f'[[candidates]]\nmodel = "{one}"\n' for one in candidates)
    config = parse(f'[app]\nname = "x"\n[data]\n{data}{tables}')
    assert curate.validation_share(config, traces) == pytest.approx(share)


@pytest.mark.parametrize(
    ("method", "least_share", "shares"),
    [
        ("as_is", 1, (0.95, 0.0)),
        ("prompt", 1, (0.95, 0.0)),
        ("as_is", 0.2, (0.2, 0.05)),
        ("lora", 1, (0.2, 0.05)),
    ],
)
def test_where_nothing_learns_all_samples_prove(method, least_share, shares):
    table = f'[[candidates]]\nmodel = "a"\nmethod = "{method}"\n' + (
        'system = "x"\n' if method == "prompt" else ""
    )
    config = parse(f'[app]\nname = "x"\n[defer]\nleast_share = {least_share}\n{table}')
    found = curate.held_out_share(config.data, learns=config.learns), curate.validation_share(config, 1000)
    assert found == pytest.approx(shares)


@pytest.mark.parametrize(
    ("changes", "teaches"),
    [
        ({}, True),
        ({"arm": "candidate"}, False),
        ({"arm": "candidate", "gold": "refund"}, True),
        ({"parent_id": "t0", "gold": "refund"}, False),
        ({"status": 500}, False),
        ({"kind": "embeddings"}, False),
    ],
)
def test_what_teaches(changes, teaches):
    """The incumbent's answers, and those that were corrected."""
    assert workflow._teaches(trace(1, "hello", **{"gold": None} | changes)) == teaches


def test_a_dataset_is_found_by_id_beginning_name_or_folder(tmp_path):
    project = project_of(tmp_path)
    with open_store(project.store_url) as store, pytest.raises(UsageError, match="no dataset yet"):
        workflow.find_dataset(store)
    fill(project, [trace(n, question(n)) for n in range(60)])
    first = workflow.build(project)
    fill(project, [trace(n, question(n)) for n in range(60, 90)])
    second = workflow.build(project)
    with open_store(project.store_url) as store:
        assert workflow.find_dataset(store) == second
        assert workflow.find_dataset(store, "shop") == second
        assert workflow.find_dataset(store, first.id) == first
        assert workflow.find_dataset(store, first.id[:12]) == first
        assert workflow.find_dataset(store, first.path).id == first.id
        with pytest.raises(UsageError, match="no dataset has an id starting with nix") as raised:
            workflow.find_dataset(store, "nix")
        assert raised.value.hint == f"known: shop {second.id[:12]}, shop {first.id[:12]}"
        with pytest.raises(UsageError, match="2 datasets have an id starting with"):
            workflow.find_dataset(store, "")


def test_questions_that_differ_in_little_are_told_which_setting_decides(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, f"where is my order {n}") for n in range(40)])
    with pytest.raises(UsageError, match="split would be empty") as error:
        workflow.build(project)
    assert "[curate] near_duplicates" in error.value.hint


def test_training_on_the_test_set_is_noticed(tmp_path):
    project = project_of(tmp_path)
    held = [trace(n, question(n), metadata={"split": "held_out"}) for n in range(20)]
    same = [trace(100 + n, question(n) + " ", metadata={"split": "train"}) for n in range(20)]
    fill(project, held + same)
    with pytest.raises(UsageError, match="20 × train question also held out"):
        workflow.build(project)


def test_labels_held_out_more_often_than_taught_are_told_in_the_card_and_before_the_look(tmp_path):
    def row(n, *, held):
        label = "oos" if n % (5 if held else 100) == 0 else f"i{n % 4}"
        return trace(n, question(n), gold=label, metadata={"split": "held_out" if held else "train"})

    project = project_of(tmp_path)
    fill(project, [row(n, held=n >= 400) for n in range(600)])
    dataset = workflow.build(project)
    card = read_card(dataset)
    (told,) = card.label_shifts
    assert told in card.warnings and ": oos 1.0% and 20.0%, " in told
    (found,) = shift_findings(dataset)
    assert (found.outcome, found.text) == ("warn", told)


def test_a_build_that_was_cut_off_leaves_no_half_dataset(tmp_path, monkeypatch):
    project = project_of(tmp_path)
    fill(project, [trace(n, question(n)) for n in range(60)])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(Exception, match="No space left"):
        workflow.build(project)
    assert list((project.state / "datasets").iterdir()) == []
    monkeypatch.undo()
    assert workflow.build(project).split("held_out").samples > 0


def test_a_held_out_part_of_two_kinds_is_pointed_out(tmp_path):
    def looked(share):
        project = project_of(tmp_path, TOML + f"[data]\nheld_out = {share}\n")
        return " ".join(workflow.check(project).warnings)

    kept = [trace(n, question(n), metadata={"split": "held_out"}) for n in range(60, 80)]
    fill(project_of(tmp_path), [trace(n, question(n)) for n in range(60)] + kept)
    assert "20 of " in looked(0.3) and "held_out = 0 leaves those to training" in looked(0.3)
    assert "files kept for evaluation" not in looked(0)


ANSWER = {"choices": [{"message": {"role": "assistant", "content": "lamp"}, "finish_reason": "stop"}]}


def trace_of_unlabelled(text, response=None, **fields):
    request = {"model": "rented-1", "messages": [{"role": "user", "content": text}]}
    return Trace(
        id=text, at=now(), source="gateway", model="rented-1", request=request, response=response, **fields
    )


def taken(opened, *traces):
    dataset = prepare(opened, progress=Silent())
    with open_store(opened.store_url) as store:
        store.add_traces(traces)
        return dataset, unlabelled_traffic(opened, store, dataset)


def test_what_got_no_answer_is_taken_the_newest_first(tmp_path):
    opened = project(tmp_path, rows=40)
    _, found = taken(
        opened,
        trace_of_unlabelled("is my parcel lost somewhere on its way to me"),
        trace_of_unlabelled("answered already by someone else", ANSWER),
        trace_of_unlabelled("the line broke off in the middle of it", ANSWER, completeness="upstream_cut"),
        trace_of_unlabelled("this one was told what is right", gold="lamp"),
        trace_of_unlabelled("a mirrored request of the shadow", parent_id="x"),
        trace_of_unlabelled("is my  parcel lost somewhere on its way to me ", status=500),
    )
    assert [one.messages[-1].content.strip() for one in found.samples] == [
        "is my  parcel lost somewhere on its way to me",
        "the line broke off in the middle of it",
    ]
    assert found.left_out == {"the same again": 1}


def test_what_is_held_out_and_what_nearly_repeats_it_is_not_read(tmp_path):
    opened = project(tmp_path, rows=40)
    dataset = prepare(opened, progress=Silent())
    held = next(building.samples(dataset, "held_out")).messages[-1].content
    _, found = taken(
        opened,
        trace_of_unlabelled(held),
        trace_of_unlabelled(f"{held}!"),
        trace_of_unlabelled("nothing of the kind was ever asked before"),
    )
    assert [one.id[:4] for one in found.samples] and len(found.samples) == 1
    assert found.left_out == {"nearly the same as what is held out or chosen by": 2}


def test_personal_data_is_replaced_as_in_a_dataset(tmp_path):
    _, found = taken(
        project(tmp_path, rows=40), trace_of_unlabelled("write to jane.doe@example.com about her order")
    )
    assert "jane.doe" not in found.samples[0].messages[-1].content


def test_rows_without_an_answer_are_kept_where_the_project_says_so(tmp_path):
    opened = project(tmp_path, rows=40)
    with (tmp_path / "traffic.jsonl").open("a") as file:
        file.write(json.dumps({"message": "nobody has labelled this message so far"}) + "\n")
    path = tmp_path / "freehold.toml"
    path.write_text(path.read_text().replace("[task]", "unlabelled = true\n[task]"))
    dataset, found = taken(open_project(path))
    assert [one.messages[-1].content for one in found.samples] == ["nobody has labelled this message so far"]
    assert dataset.dropped["no answer"] == 1
    with open_store(opened.store_url) as store:
        assert len(unanswered(store, 9)) == 1
