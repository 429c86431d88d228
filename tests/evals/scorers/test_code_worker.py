"""The worker as the process it is: one JSON line in, one out, and nothing of the callable's own output."""

import json
import socket
import subprocess
import sys

import pytest

from freehold.evals.scorers import code_worker

pytestmark = pytest.mark.process

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
    mine, its = socket.socketpair()
    mine.settimeout(30)
    process = subprocess.Popen(
        [sys.executable, "-P", code_worker.__file__, target, str(memory_mib), "0", "5"],
        stdin=its.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=cwd,
    )
    its.close()
    with mine, mine.makefile("rb") as replies:
        found = [json.loads(replies.readline())]
        for number, one in enumerate(questions if found[0].get("ready") else ()):
            question = {"number": number, "answer": one, "reference": "a", "sample": {"id": "s"}}
            mine.sendall(json.dumps(question).encode() + b"\n")
            found.append(json.loads(replies.readline()))
        mine.shutdown(socket.SHUT_WR)
    assert process.wait(30) == 0
    return found


@pytest.fixture
def grader(tmp_path):
    (tmp_path / "my_grader.py").write_text(GRADER)
    return tmp_path


def test_replies_are_all_that_comes_back(grader):
    replies = talk(f"{grader / 'my_grader.py'}:grade", "a", "b", "raise", "a")
    assert replies[0] == {"ready": True}
    assert [one.get("value") for one in replies[1:]] == [1.0, 0.0, None, 1.0]
    assert [one["number"] for one in replies[1:]] == [0, 1, 2, 3]
    assert replies[1]["reason"] == "s"
    assert replies[3]["error"] == "ValueError: oops"
    assert (replies[3]["path"], replies[3]["line"]) == (str(grader / "my_grader.py"), 9)


def test_a_module_is_found_in_the_folder_it_is_started_in(grader):
    assert talk("my_grader:grade", "a", cwd=grader)[1]["value"] == 1.0


def test_neighbours_are_found_and_not_those_of_the_worker(grader):
    (grader / "numbers_of_mine.py").write_text("ONE = 1")
    (grader / "other.py").write_text(
        "from numbers_of_mine import ONE\n\ndef grade(*_):\n    try:\n        import json_fields\n"
        "    except ImportError:\n        return ONE\n"
    )
    assert talk(f"{grader / 'other.py'}:grade", "a")[1]["value"] == 1.0


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
    assert "ready" not in reply
    assert reply["error"].startswith(error)


@pytest.mark.parametrize(
    ("said", "value"), [(True, 1.0), (0.25, 0.25), (None, None), ({"value": None, "reason": "later"}, None)]
)
def test_what_a_callable_may_return(said, value):
    question = {"answer": "a", "reference": None, "sample": {}}
    assert code_worker.graded(lambda *_: said, question)["value"] == value


@pytest.mark.parametrize(
    "said",
    [
        "good",
        float("nan"),
        1.5,
        -0.1,
        {},
        {"value": "1"},
        {"value": 1, "parts": "x"},
        {"value": 1, "format_ok": 1},
    ],
)
def test_what_it_may_not_return(said):
    question = {"answer": "a", "reference": None, "sample": {}}
    assert set(code_worker.graded(lambda *_: said, question)) == {"nonsense"}
