import json

import pytest

from freehold.errors import InputError
from freehold.evals.imports import read_outputs, source
from freehold.evals.lm_eval import sample_files


def row(number, *, filter_name="none", **scores):
    return {
        "doc_id": number, "doc": {"question": f"q{number}"}, "target": "a", "resps": [["a"]],
        "filter": filter_name, "metrics": list(scores), **scores,
    }  # fmt: skip


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def scores_of(text):
    return [line.score for line in read_outputs(source(text))]


def test_a_metric_is_named_and_the_first_is_taken_otherwise(tmp_path):
    path = write(
        tmp_path / "samples_arc.jsonl", [row(0, acc=1.0, acc_norm=0.0), row(1, acc=0.0, acc_norm=0.0)]
    )
    assert scores_of(str(path)) == [1.0, 0.0]
    assert scores_of(f"{path}::acc_norm") == [0.0, 0.0]
    (first, _) = read_outputs(source(f"{path}::acc_norm"))
    assert (first.metric, first.metrics) == ("acc_norm", ("acc", "acc_norm"))


def test_filter_and_metric_are_named_together_in_either_order(tmp_path):
    rows = [row(0, filter_name="strict", acc=1.0, f1=0.5), row(0, filter_name="loose", acc=0.0, f1=0.25)]
    path = write(tmp_path / "samples_x.jsonl", rows)
    assert scores_of(f"{path}::loose::f1") == scores_of(f"{path}::f1::loose") == [0.25]
    with pytest.raises(InputError, match="holds several filters") as raised:
        scores_of(f"{path}::f1")
    assert raised.value.hint.endswith("::strict::f1")


def test_an_unknown_name_says_what_there_is(tmp_path):
    path = write(tmp_path / "samples_x.jsonl", [row(0, acc=1.0, acc_norm=0.0)])
    with pytest.raises(
        InputError, match=r"no accnorm among its filters \(none\) and metrics \(acc, acc_norm\)"
    ):
        scores_of(f"{path}::accnorm")


def test_a_folder_of_subtasks_is_read_as_one(tmp_path):
    model = tmp_path / "runs" / "smollm2"
    write(model / "samples_mmlu_law_2026-11-25T10-00-00.000001.jsonl", [row(0, acc=0.0)])
    write(model / "samples_mmlu_law_2026-11-26T10-00-00.000001.jsonl", [row(0, acc=1.0)])
    write(model / "samples_mmlu_art_2026-11-26T10-00-00.000001.jsonl", [row(0, acc=0.0), row(1, acc=1.0)])
    for folder in (model, tmp_path / "runs"):
        lines = {line.id: line for line in read_outputs(source(str(folder)))}
        assert {id: line.score for id, line in lines.items()} == {
            "mmlu_art/0": 0.0, "mmlu_art/1": 1.0, "mmlu_law/0": 1.0
        }  # fmt: skip
        assert lines["mmlu_law/0"].metadata == {"subtask": "mmlu_law"}


def test_folders_that_are_not_one_models_are_refused(tmp_path):
    with pytest.raises(InputError, match="a folder without samples_"):
        sample_files(tmp_path)
    for name in ("a", "b"):
        write(tmp_path / name / "samples_x.jsonl", [row(0, acc=1.0)])
    with pytest.raises(InputError, match="holds several models: a, b"):
        sample_files(tmp_path)
