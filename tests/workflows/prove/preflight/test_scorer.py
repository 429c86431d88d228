import anyio
import pytest
from tests.workflows.prove.held_out import sample

from freehold.types.evaluation import Task
from freehold.workflows.prove.preflight.scorer import scorer_findings

GOOD = "def grade(answer, reference, sample):\n    return answer == reference\n"


def find(scorer, options=None, samples=None, seconds=6.0):
    task = Task(name="t", scorer=scorer, margin=0.05, options=options or {})
    samples = [sample(number) for number in range(3)] if samples is None else samples

    async def work():
        return await scorer_findings(task, samples, seconds=seconds)

    (found,) = anyio.run(work)
    return found


@pytest.fixture
def code(tmp_path, monkeypatch):
    def write(text, function="grade"):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "score.py").write_text(text)
        return {"callable": f"score.py:{function}", "memory_mib": 512}

    return write


@pytest.mark.process
def test_a_scorer_that_finds_the_right_answer_right_is_ready(code):
    assert find("label").text == "label finds the right answer right"
    assert find("code", code(GOOD)).outcome == "ok"


@pytest.mark.process
def test_a_module_that_never_ends_its_import_is_told_and_not_waited_for(code):
    found = find("code", code("import time\ntime.sleep(600)\n" + GOOD), seconds=0.5)
    assert found.outcome == "warn"
    assert "it loads slowly, or hangs" in found.text


@pytest.mark.process
def test_a_scorer_that_gives_the_right_answer_no_points_is_told(code):
    found = find("code", code("def grade(answer, reference, sample):\n    return 0\n"))
    assert found.outcome == "fail"
    found = find("regex", {"pattern": "(\\d+)"})
    assert found.outcome == "fail"
    assert "the right answer of sample s0000" in found.text and "3 of 3 tried" in found.text


def test_a_judge_is_not_asked():
    found = find("judge", {"base_url": "http://127.0.0.1:9", "model": "m"})
    assert found.outcome == "ok" and "costs a call" in found.text
