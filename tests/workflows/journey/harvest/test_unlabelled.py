import json

import pytest
from tests.workflows.journey.rehearsal import project

from freehold.datasets.identity import question_id
from freehold.errors import InputError
from freehold.store import open_store
from freehold.types.trace import Trace
from freehold.workflows.journey.harvest.unlabelled import unlabelled
from freehold.workflows.project import now


def asking(text):
    return [{"role": "user", "content": text}]


def found(opened, file=None, known=()):
    with open_store(opened.store_url) as store:
        return [one.messages[-1].content for one in unlabelled(opened, store, file, set(known))]


def test_a_file_s_requests_the_newest_first_without_known_questions(tmp_path):
    path = tmp_path / "open.jsonl"
    lines = [
        {"messages": asking("first")},
        {"custom_id": "2", "method": "POST", "body": {"messages": asking("second"), "temperature": 0.3}},
        {"messages": [*asking("third"), {"role": "assistant", "content": "someone's"}]},
        {"messages": asking("known")},
        {"messages": asking("first")},
        {"other": 1},
    ]
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    assert found(project(tmp_path), path, [question_id(asking("known"))]) == ["first", "third", "second"]


def test_captured_requests_that_got_no_answer(tmp_path):
    opened = project(tmp_path)
    answer = {"choices": [{"message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]}

    def trace(text, response=None, **fields):
        request = {"model": "rented", "messages": asking(text)}
        return Trace(
            id=text, at=now(), source="gateway", model="rented", request=request, response=response, **fields
        )

    with open_store(opened.store_url) as store:
        store.add_traces(
            [
                trace("answered", answer),
                trace("failed", status=500),
                trace("cut", answer, completeness="upstream_cut"),
                trace("mirrored", parent_id="answered"),
                trace("told", gold="yes"),
            ]
        )
    assert found(opened) == ["cut", "failed"]


def test_a_file_without_requests_is_refused(tmp_path):
    path = tmp_path / "open.jsonl"
    path.write_text("{}\n")
    with pytest.raises(InputError, match="no line holds a chat request"):
        found(project(tmp_path), path)
    path.write_text("nonsense\n")
    with pytest.raises(InputError, match=r"open\.jsonl:1: not JSON"):
        found(project(tmp_path), path)
