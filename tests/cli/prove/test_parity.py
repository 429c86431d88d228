"""The real comparison needs weights: tests/workflows/prove/test_parity.py."""

from freehold.types.parity import ParityItem
from freehold.workflows.prove import parity as workflow
from freehold.workflows.prove.encoder_parity.judging import summarize


def test_mistakes(refused, freehold, project, monkeypatch):
    monkeypatch.setenv("FREEHOLD_OFFLINE", "1")
    refused("parity", "org/gone", message="weights of org/gone are not here", hint="FREEHOLD_OFFLINE")
    ran = freehold("parity", "--adapter", "gone")
    assert ran.code == 2 and "'gone' does not exist" in ran.err


def test_an_encoder_is_told_by_its_answers_and_their_probabilities(freehold, project, monkeypatch):
    item = ParityItem(sample_id="s", prompt_tokens=9, difference_at=None, tokens=3, agreeing=2, distance=0.25)
    report = summarize([item], model="m:shop", adapter_id="a")
    monkeypatch.setattr(workflow, "project_parity", lambda *_, **__: report)
    ran = freehold("parity", "tickets")
    assert ran.code == 1
    assert ran.out.splitlines()[:5] == [
        "model      m:shop",
        "messages   1 of 1 are cut into equal tokens",
        "answers    66.7% of 3 values agree",
        "distance   0.2500 at most between the probabilities of an answer",
        "FAILED     numbers",
    ]
