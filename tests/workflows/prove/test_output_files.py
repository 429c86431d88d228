"""Two files of outputs: what is looked at before they are scored."""

import asyncio
import json

import pytest

from freehold.types.evaluation import Task
from freehold.workflows.project import open_project
from freehold.workflows.prove.output_files import OutputFiles, evaluate_files, files_preflight
from freehold.workflows.prove.preflight.check import PreflightError


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
    assert "alpha shared by 3 looks" in look(outputs(100), task(), planned_looks=3).doubted[0].text


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
