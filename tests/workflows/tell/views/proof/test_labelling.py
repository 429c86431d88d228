"""Pairs on a screen go through the sessions of `freehold label`."""

import json
from pathlib import Path

import pytest
from tests.workflows.tell.views import evidence

from freehold.workflows.prove.label import open_session
from freehold.workflows.tell.views.proof.labelling import LabellingQuery, desk_of, labelling


@pytest.fixture
def made(project):
    return evidence.with_proof(project, hostile=False)


look = evidence.looking(labelling, LabellingQuery)


def test_ten_pairs_are_labelled_as_the_command_labels_them(project, made):
    pair = look(project)
    assert pair.wanted == 100 and pair.pair_id
    names = {made.candidate, made.incumbent}
    begun = pair.labelled  # equal answers are labelled without being shown
    for _ in range(10):
        assert not names & set(msgspec_texts(pair))
        pair = desk_of(project).label(made.id, pair.pair_id, "left")
        if pair.pair_id is None:
            break
    assert pair.labelled > begun
    lines = [json.loads(line) for line in Path(pair.path).read_text().splitlines()]
    shown = [line for line in lines if line["shown"]]
    assert {line["winner"] for line in shown} <= {"candidate", "incumbent"}
    session, path = open_session(project, evaluation_id=made.id)
    assert str(path) == pair.path and session.progress.labelled == pair.labelled
    assert session.current_id == pair.pair_id


def msgspec_texts(pair):
    return [pair.question.text, pair.left.text, pair.right.text]
