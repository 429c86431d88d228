"""Files of outputs: our own lines, and those of other harnesses."""

import json
import zipfile

import pytest

from freehold import files
from freehold.errors import InputError, UsageError
from freehold.evals import outputs
from freehold.evals.outputs import OutputLine, read_lines, read_outputs, sample_files, source, unique


def write(tmp_path, *lines):
    path = tmp_path / "outputs.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def line(id, **fields):
    return OutputLine(id=id, **fields)


def test_every_usual_name_of_a_field_is_read(tmp_path):
    path = write(
        tmp_path,
        {"id": 7, "output": "a", "gold": "b", "score": True, "group": 3, "metadata": {"k": 1}},
        "",
        {
            "custom_id": "x",
            "response": {"body": {"choices": [{"message": {"content": "hi"}}]}},
            "score": None,
        },
        {"doc_id": "y", "prediction": {"a": 1}, "target": ["t"], "input": "?", "conversation_id": "c"},
    )
    first, second, third = read_lines(path)
    assert first == line("7", output="a", gold="b", score=1.0, scored=True, group="3", metadata={"k": 1})
    assert (second.id, second.output, second.score, second.scored) == ("x", "hi", None, True)
    assert third == line("y", output='{"a":1}', gold='["t"]', question="?", group="c")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{", "not valid JSON"),
        ("[1]", "expected a JSON object"),
        ('{"output": "a"}', "no id"),
        ('{"id": "a", "score": "good"}', "score is 'good', expected a number or null"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, given, message):
    with pytest.raises(InputError, match=message) as raised:
        read_lines(write(tmp_path, {"id": "fine"}, given))
    assert "outputs.jsonl:2" in str(raised.value)


def test_an_id_may_occur_once(tmp_path):
    assert list(unique([line("a"), line("b")], tmp_path)) == ["a", "b"]
    with pytest.raises(UsageError, match="1 duplicate ids: a"):
        unique([line("a"), line("b"), line("a")], tmp_path)


def saved(path, value):
    path.write_text(
        json.dumps(value) if isinstance(value, dict) else "\n".join(map(json.dumps, value)) + "\n"
    )
    return path


def read(path, name=None):
    return read_outputs(source(f"{path}::{name}" if name else str(path)))


def harness(filter_name, right):
    return {
        "doc_id": 3,
        "doc": {"question": "2+2?", "answer": "4"},
        "target": "4",
        "arguments": {"gen_args_0": {"arg_0": "2+2?"}},
        "resps": [["It is 4"]],
        "filtered_resps": ["4"],
        "filter": filter_name,
        "metrics": ["exact_match"],
        "exact_match": right,
    }


def test_lm_evaluation_harness(tmp_path):
    path = saved(
        tmp_path / "samples_gsm8k.jsonl", [harness("strict-match", 1.0), harness("flexible-extract", 0.0)]
    )
    with pytest.raises(InputError, match="holds several filters: strict-match, flexible-extract") as raised:
        read(path)
    assert "::strict-match" in raised.value.hint
    (line,) = read(path, "flexible-extract")
    assert (line.id, line.output, line.gold, line.score, line.question) == ("3", "4", "4", 0.0, "2+2?")
    with pytest.raises(InputError, match="no other among its filters"):
        read(path, "other")


def inspect_sample(id, value, epoch=1, **more):
    return {
        "id": id,
        "epoch": epoch,
        "input": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}],
        "target": "yes",
        "output": {
            "choices": [{"message": {"role": "assistant", "content": [{"type": "text", "text": "yes"}]}}]
        },
        "scores": {"match": {"value": value, "answer": "yes"}},
    } | more


def test_inspect_json_log_takes_the_mean_of_epochs(tmp_path):
    samples = [
        inspect_sample(1, "C"),
        inspect_sample(1, "I", epoch=2),
        inspect_sample("b", "P"),
        inspect_sample(2, None),
    ]
    path = saved(tmp_path / "log.json", {"version": 2, "eval": {"model": "m"}, "samples": samples})
    lines = {line.id: line for line in read(path)}
    assert {id: line.score for id, line in lines.items()} == {"1": 0.5, "b": 0.5, "2": None}
    assert (lines["b"].output, lines["b"].gold, lines["b"].question) == ("yes", "yes", "q")


def test_inspect_eval_file(tmp_path):
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", "{}")
        for i in range(3):
            sample = inspect_sample(i, 0.25, output={"completion": "no"})
            archive.writestr(f"samples/{i}_epoch_1.json", json.dumps(sample))
    assert [(line.id, line.score, line.output) for line in read(path)] == [
        (str(i), 0.25, "no") for i in range(3)
    ]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", "{}")
    with pytest.raises(InputError, match="no samples in it"):
        read(path)


def test_an_eval_file_that_unpacks_to_more_than_any_log_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FREE_BYTES", 1_000_000)
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3):
            archive.writestr(f"samples/{i}_epoch_1.json", b'{"x":"' + b" " * 20_000_000 + b'"}')
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match="unpacks to more than 500 times its size"):
        read(path)
    monkeypatch.setattr(outputs, "_SAMPLE_BYTES_MAX", 1_000_000)
    with pytest.raises(InputError, match="is larger than 1000000 bytes"):
        read(path)


def test_promptfoo(tmp_path):
    def row(test, model, output, score, **more):
        return {
            "testIdx": test,
            "promptIdx": 0,
            "vars": {"language": "de", "n": 3},
            "provider": {"id": model},
            "prompt": {"raw": "classify: x"},
            "response": {"output": output},
            "success": score > 0.5,
            "score": score,
        } | more

    rows = [row(0, "openai:gpt-4o", "yes", 1), row(0, "local", {"a": 1}, 0)]
    rows += [row(1, "openai:gpt-4o", "", 0, error="429", response=None), row(1, "local", "x", 0.6)]
    path = saved(tmp_path / "out.json", {"evalId": "e", "results": {"version": 3, "results": rows}})
    with pytest.raises(InputError, match="holds several models: openai:gpt-4o, local"):
        read(path)
    local = read(path, "local")
    assert [(line.id, line.output, line.score) for line in local] == [("0", '{"a":1}', 0.0), ("1", "x", 0.6)]
    assert local[0].metadata == {"language": "de"}
    assert [line.score for line in read(path, "openai:gpt-4o")] == [1.0, None]


@pytest.mark.parametrize(
    "value",
    [
        {"eval": {}, "samples": [["x"]]},
        {"eval": {}, "samples": [{"id": 1, "output": "x"}]},
        {"eval": {}, "samples": [{"id": 1, "scores": {"a": 1}}]},
        {"results": {"results": [["x"]]}},
        [{"doc_id": 1, "resps": [], "metrics": [{}]}],
    ],
)
def test_another_shape_is_an_error_that_names_the_file(tmp_path, value):
    with pytest.raises(InputError, match=r"odd\.json: not of the shape its tool is known to write"):
        read(saved(tmp_path / "odd.json", value))


def row(number, *, filter_name="none", **scores):
    return {
        "doc_id": number, "doc": {"question": f"q{number}"}, "target": "a", "resps": [["a"]],
        "filter": filter_name, "metrics": list(scores), **scores,
    }  # fmt: skip


def saved_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def scores_of(text):
    return [line.score for line in read_outputs(source(text))]


def test_a_metric_is_named_and_the_first_is_taken_otherwise(tmp_path):
    path = saved_rows(
        tmp_path / "samples_arc.jsonl", [row(0, acc=1.0, acc_norm=0.0), row(1, acc=0.0, acc_norm=0.0)]
    )
    assert scores_of(str(path)) == [1.0, 0.0]
    assert scores_of(f"{path}::acc_norm") == [0.0, 0.0]
    (first, _) = read_outputs(source(f"{path}::acc_norm"))
    assert (first.metric, first.metrics) == ("acc_norm", ("acc", "acc_norm"))


def test_a_folder_of_subtasks_is_read_as_one(tmp_path):
    model = tmp_path / "runs" / "smollm2"
    saved_rows(model / "samples_mmlu_law_2026-11-25T10-00-00.000001.jsonl", [row(0, acc=0.0)])
    saved_rows(model / "samples_mmlu_law_2026-11-26T10-00-00.000001.jsonl", [row(0, acc=1.0)])
    saved_rows(
        model / "samples_mmlu_art_2026-11-26T10-00-00.000001.jsonl", [row(0, acc=0.0), row(1, acc=1.0)]
    )
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
        saved_rows(tmp_path / name / "samples_x.jsonl", [row(0, acc=1.0)])
    with pytest.raises(InputError, match="holds several models: a, b"):
        sample_files(tmp_path)


def test_a_table_is_read_as_lines_are(tmp_path):
    (tmp_path / "a.csv").write_text("id,output,score,group\n1,yes,0.5,u\n2,no,,\n")
    first, second = read_lines(tmp_path / "a.csv")
    assert (first.id, first.output, first.score, first.group) == ("1", "yes", 0.5, "u")
    assert (second.output, second.score) == ("no", None)
    (tmp_path / "a.csv").write_text("id,score\n1,high\n")
    with pytest.raises(InputError, match="score is 'high', expected a number or null"):
        read_lines(tmp_path / "a.csv")
