"""Two files of outputs: looked at, paired and scored; pairs of scores in one file."""

import asyncio
import json

import pytest

from freehold.bounded.sandbox import sandbox_state
from freehold.errors import InputError, UsageError
from freehold.types.evaluation import Task
from freehold.workflows.project import open_project
from freehold.workflows.prove.compare import read_pairs
from freehold.workflows.prove.outputs import OutputFiles, evaluate_files, evaluate_outputs, files_preflight
from freehold.workflows.prove.preflight import PreflightError

LABEL = Task(name="t", scorer="label", margin=0.05)
GIVEN = Task(name="t", scorer="given", margin=0.05)


def write(path, rows):
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path


def run(tmp_path, a, b, task=LABEL, **options):
    a, b = write(tmp_path / "gpt.jsonl", a), write(tmp_path / "small.jsonl", b)
    return asyncio.run(evaluate_outputs(a, b, task=task, **options))


def rows(n, output="yes", gold="yes", start=0):
    return [{"id": i, "output": output, "gold": gold} for i in range(start, start + n)]


def test_two_files_no_model(tmp_path):
    made = run(tmp_path, rows(150), rows(150))
    assert made.comparison.verdict == "promote"
    assert (made.incumbent, made.candidate) == ("gpt", "small")


def test_mismatched_ids_are_reported(tmp_path):
    with pytest.raises(UsageError) as raised:
        run(tmp_path, rows(40), rows(40, start=3))
    assert raised.value.message == (
        "the files do not hold the same items: 3 only in a (0, 1, 2), 3 only in b (40, 41, 42)"
    )
    assert "write null" in (raised.value.hint or "")


def test_files_without_a_shared_id_are_refused(tmp_path):
    with pytest.raises(UsageError) as raised:
        run(tmp_path, rows(5), rows(5, start=9))
    assert "no id is in both" in (raised.value.hint or "")


def test_gold_in_its_own_file(tmp_path):
    a = [{"id": i, "output": "yes"} for i in range(40)]
    with pytest.raises(UsageError, match="needs the right answers"):
        run(tmp_path, a, a)
    gold = write(tmp_path / "gold.jsonl", [{"id": i, "gold": "yes"} for i in range(40)])
    assert run(tmp_path, a, a, gold=gold).comparison.candidate_mean == 1.0
    write(gold, [{"id": i, "gold": "yes"} for i in range(38)])
    with pytest.raises(UsageError, match="no right answer for 2 ids: 38, 39"):
        run(tmp_path, a, a, gold=gold)


def test_scores_the_files_carry(tmp_path):
    a = [{"id": i, "score": 0.9 if i % 2 else 0.7} for i in range(60)]
    b = [{"id": i, "score": None if i < 6 else True} for i in range(60)]
    made = run(tmp_path, a, b, GIVEN)
    assert made.comparison.unscored["candidate_only"] == 6
    assert made.comparison.candidate_mean == 1.0
    with pytest.raises(UsageError, match="item 0 has no score"):
        run(tmp_path, rows(3), rows(3), GIVEN)


def test_batch_files_pair_by_the_id_that_was_given(tmp_path):
    def line(batch, i, body, status=200):
        return {
            "id": f"batch_req_{batch}{i:04}",
            "custom_id": f"r{i}",
            "response": {"status_code": status, "request_id": f"{batch}{i}", "body": body},
            "error": None,
            "gold": "yes",
        }

    def said(text):
        return {"choices": [{"message": {"role": "assistant", **text}}]}

    a = [line("a", i, said({"content": "yes"})) for i in range(6)]
    b = [line("b", i, said({"content": "yes"})) for i in range(3)]
    b += [
        line("b", 3, said({"content": None, "refusal": "No."})),
        line("b", 4, {"error": {"message": "overloaded"}}, 500),
        line("b", 5, {"output": [{"type": "message", "content": [{"type": "output_text", "text": "yes"}]}]}),
    ]
    made = run(tmp_path, a, b[::-1])
    assert made.comparison.n == 5, "what failed is unscored"
    assert made.comparison.candidate_mean == 0.8


GRADER = """
def grade(answer, reference, sample):
    right = int(answer) == int(reference)
    return right if right else {"value": 0, "reason": f"off by {abs(int(answer) - int(reference))}"}

def broken(answer, reference, sample):
    return answer.value == reference
"""


def code(tmp_path, function):
    (tmp_path / "grader.py").write_text(GRADER)
    return Task(
        name="t", scorer="code", margin=0.05, options={"callable": f"{tmp_path}/grader.py:{function}"}
    )


@pytest.mark.process
def test_a_scorer_of_ones_own_leaves_reasons_and_what_held_it(tmp_path):
    b = [*rows(3, "7", "7"), *rows(1, "9", "7", 3), *rows(1, "nine", "7", 4)]
    made = run(tmp_path, rows(5, "7", "7"), b, code(tmp_path, "grade"))
    assert made.sandbox == sandbox_state().name
    assert any("limits only" in note for note in made.comparison.notes) is (made.sandbox != "bubblewrap")
    assert not any(made.comparison.unscored.values())
    said = [one.candidate_reason for one in made.disagreements]
    assert said[0] == "off by 2"
    assert said[1].startswith("answer_raised: ValueError: invalid literal for int()")


@pytest.mark.process
def test_a_scorer_at_fault_stops_it_with_its_line(tmp_path):
    with pytest.raises(InputError, match=r"grader.py:7: .*broken\(\) fails on sample .*AttributeError"):
        run(tmp_path, rows(20), rows(20), code(tmp_path, "broken"))


@pytest.fixture
def outputs(tmp_path):
    def write(n, **more):
        for name in "ab":
            rows = [{"id": i, "output": "yes", "gold": "yes"} | more for i in range(n)]
            (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return OutputFiles(str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl"))

    return write


def task(scorer="label", **options):
    return Task(name="t", scorer=scorer, margin=0.05, options=options)


def look(outputs, task, **more):
    return asyncio.run(files_preflight(outputs, task, **more))


def test_too_few_items_are_worth_a_line_and_no_refusal(outputs):
    found = look(outputs(40), task())
    assert not found.failed
    (told,) = found.doubted
    assert "with n = 40 you can prove" in told.text


def test_groups_and_planned_looks_count(outputs, tmp_path):
    grouped = outputs(400, group="one")
    (told,) = look(grouped, task()).doubted
    assert "n = 400 in 1 groups" in told.text
    assert not look(outputs(100), task()).failed
    assert "alpha shared by 3 evaluations" in look(outputs(100), task(), planned_looks=3).doubted[0].text


@pytest.mark.process
def test_a_scorer_that_would_fail_is_told_before_it_scores_anything(outputs, tmp_path):
    (tmp_path / "mine.py").write_text("def other(a, b): return 1\n")
    broken = task("code", callable=f"{tmp_path / 'mine.py'}:absent")
    (tmp_path / "freehold.toml").write_text('[app]\nname = "t"\n')
    project = open_project(tmp_path / "freehold.toml")
    with pytest.raises(PreflightError, match="absent"):
        asyncio.run(evaluate_files(project, outputs(60), broken))


def test_a_judge_that_does_not_answer_is_told_too(outputs):
    found = look(outputs(60), task("judge", base_url="http://127.0.0.1:9", model="m"))
    assert [one.text.partition(":")[0] for one in found.failed] == ["the judge"]


@pytest.fixture
def pairs(tmp_path):
    def write(rows):
        path = tmp_path / "pairs.jsonl"
        path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
        return path

    return write


def test_columns_clusters_and_slices(pairs):
    rows = [
        {"id": 1, "a": True, "b": 0.5, "cluster": "x", "language": "de", "size": 3},
        {"id": 2, "a": None, "b": 1, "cluster": "x", "language": None},
        {"id": 3, "a": 0, "b": 0},
    ]
    found = read_pairs(pairs(rows), slices=("language", "size"))
    assert found.incumbent == [True, None, 0] and found.candidate == [0.5, 1, 0]
    assert found.clusters == ["x", "x", None]
    assert found.slices == {"language": ["de", None, None], "size": ["3", None, None]}
