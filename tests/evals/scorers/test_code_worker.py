"""The worker as the process it is: one JSON line in, one out, and nothing of the callable's own output."""

import json
import subprocess
import sys

import pytest

from freehold.evals.scorers import code_worker

GRADER = """
import os
print("noise at import")
os.write(1, b"noise on the descriptor")

def grade(answer, reference, sample):
    print("noise")
    if answer == "raise":
        raise ValueError("oops")
    return {"value": answer == reference, "reason": sample["id"], "parts": None}
"""


def talk(target, *questions, memory_mib=1024, cwd=None):
    lines = "".join(
        json.dumps({"answer": one, "reference": "a", "sample": {"id": "s"}}) + "\n" for one in questions
    )
    done = subprocess.run(
        [sys.executable, code_worker.__file__, target, str(memory_mib)],
        input=lines,
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=30,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def grader(tmp_path):
    (tmp_path / "my_grader.py").write_text(GRADER)
    return tmp_path


def test_replies_are_all_that_comes_out(grader):
    replies = talk(f"{grader / 'my_grader.py'}:grade", "a", "b", "raise", "a")
    assert replies[0] == {"ready": True}
    assert [one.get("value") for one in replies[1:]] == [1.0, 0.0, None, 1.0]
    assert replies[1]["reason"] == "s"
    assert "parts" not in replies[1]
    assert replies[3]["error"] == "ValueError: oops"


def test_a_module_is_found_in_the_folder_it_is_started_in(grader):
    assert talk("my_grader:grade", "a", cwd=grader)[1]["value"] == 1.0


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("none:grade", "ModuleNotFoundError"),
        ("my_grader:other", "AttributeError"),
        ("my_grader:os", "TypeError: os can't be called"),
    ],
)
def test_a_callable_that_cannot_be_loaded_is_named_and_ends_it(grader, target, error):
    (reply,) = talk(target, "a", cwd=grader)
    assert reply["ready"] is False
    assert reply["error"].startswith(error)


@pytest.mark.parametrize(
    ("said", "value"), [(True, 1.0), (0.25, 0.25), (None, None), ({"value": None, "reason": "later"}, None)]
)
def test_what_a_callable_may_return(said, value):
    question = {"answer": "a", "reference": None, "sample": {}}
    assert code_worker.graded(lambda *_: said, question)["value"] == value


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [("good", TypeError, "returned str"), (float("nan"), ValueError, "returned NaN")],
)
def test_what_it_may_not_return(said, error, message):
    with pytest.raises(error, match=message):
        code_worker.graded(lambda *_: said, {"answer": "a", "reference": None, "sample": {}})
