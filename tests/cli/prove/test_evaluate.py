"""Evaluations, frozen answers, parity and mixtures by command."""

import json

import pytest
from tests.report.sample_mixture import mixture, refused

from freehold.cli.defer import mixture_view
from freehold.cli.output import show
from freehold.types.parity import ParityItem
from freehold.workflows.prove import parity as workflow
from freehold.workflows.prove.encoder_parity import summarize


@pytest.fixture
def files(tmp_path):
    def write(n, right):
        for name, count in (("a", n), ("b", right)):
            rows = [{"id": i, "output": "yes" if i < count else "no", "gold": "yes"} for i in range(n)]
            (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return "--a", tmp_path / "a.jsonl", "--b", tmp_path / "b.jsonl", "--task", "label", "--margin", "0.05"

    return write


@pytest.mark.parametrize(
    ("n", "right", "code", "word"), [(200, 200, 0, "PROMOTE"), (200, 100, 1, "REJECT"), (40, 39, 3, "HOLD")]
)
def test_the_exit_code_says_the_verdict(freehold, files, n, right, code, word):
    status, out, _ = freehold("evaluate", *files(n, right))
    assert status == code
    assert out.startswith(f"{word}  b against a")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ((), "say what to compare", "--endpoint URL"),
        (("--a", "x"), "say what to compare", "--a FILE --b FILE"),
        (("--endpoint", "http://127.0.0.1:1"), "--endpoint needs --model", "lists them"),
        (("--endpoint", "http://127.0.0.1:1", "--model", "m"), "no dataset yet", "freehold dataset build"),
        (("--a", "no.jsonl", "--b", "no.jsonl"), "no.jsonl: cannot be read", ""),
        (("--endpoint", "http://u", "--model", "m", "--option", "x"), "expected KEY=VALUE", ""),
    ],
)
def test_mistakes_get_an_error_a_hint_and_code_2(freehold, arguments, message, hint):
    status, _, err = freehold("evaluate", *arguments)
    assert status == 2
    assert message in err
    assert hint in err
    assert "Traceback" not in err


def test_files_count_their_looks_too(freehold, files):
    first = json.loads(freehold("evaluate", *files(200, 200), "--json").out)["comparison"]
    assert (first["look"]["number"], first["look"]["items"], first["verdict"]) == (1, 200, "promote")
    status, out, _ = freehold("evaluate", *files(200, 199), "--json")
    second = json.loads(out)["comparison"]
    assert (status, second["verdict"], second["reasons"][-1]) == (3, "hold", "repeated_look")
    assert (second["look"]["number"], second["look"]["shared"]) == (2, 200)
    assert second["look"]["first_at"] and not second["look"]["may_promote"]
    status, out, _ = freehold("evaluate", *files(200, 200))
    assert status == 0, "the first once more is the first look"
    _, out, _ = freehold("evaluate", *files(200, 198))
    assert "Look 3 of items first looked at on" in " ".join(out.split())
    assert "200 of 200 items shared" in " ".join(out.split())


def test_planned_looks_at_files_share_alpha(freehold, files):
    for right, status in ((200, 0), (199, 0), (198, 3)):
        ran = freehold("evaluate", *files(200, right), "--planned-looks", "2", "--json")
        found = json.loads(ran.out)["comparison"]
        assert (ran.code, found["alpha"], found["look"]["planned"]) == (status, 0.0125, 2)


def test_evaluations_by_hand_stand_side_by_side(freehold, files):
    for right in (200, 199, 198):
        freehold("evaluate", *files(200, right))
    shown = freehold("report")
    assert shown.code == 0
    head, *rows = shown.out.splitlines()
    assert head.split()[:4] == ["when", "(UTC)", "candidate", "score"] and len(rows) == 3
    assert [row.split()[3] for row in rows] == ["0.9900", "0.9950", "1.0000"], "the last one first"
    listed = freehold("report", "--evaluations", "--json").items
    assert [one["look"] for one in listed] == [3, 2, 1]
    assert [one["verdict"] for one in listed] == ["hold", "hold", "promote"]


@pytest.fixture
def incumbent(freehold, traffic, serving):
    """A project with a dataset, whose incumbent is a model that answers here."""
    config = traffic / "freehold.toml"
    config.write_text(
        config.read_text().replace("http://127.0.0.1:1", serving["url"]).replace("gpt-4o", "echo")
    )
    freehold("dataset", "build")


@pytest.mark.process
def test_answers_are_frozen_and_asked_once(freehold, incumbent):
    ran = freehold("freeze", "--repeats", "2", "--json")
    assert ran.code == 0, ran.err
    made = ran.json
    assert made["answered"] == 2 * made["samples"] > 0
    again = freehold("freeze", "--repeats", "2").out
    assert again.startswith(f"{made['answered']} answers of echo to {made['samples']} samples are frozen\n")
    assert f"  self-noise {made['self_noise']:.3f}: " in again
    assert again.endswith(f"  {made['file']}\n")


def test_an_encoder_is_told_by_its_answers_and_their_probabilities(freehold, project, monkeypatch):
    item = ParityItem(sample_id="s", prompt_tokens=9, difference_at=None, tokens=3, agreeing=2, distance=0.25)
    report = summarize([item], model="m:shop", adapter_id="a")
    monkeypatch.setattr(workflow, "project_parity", lambda *_, **__: report)
    ran = freehold("parity", "tickets")
    assert ran.code == 1
    assert ran.out.splitlines()[:5] == [
        "  model     m:shop",
        "  messages  1 of 1 are cut into equal tokens",
        "  answers   66.7% of 3 values agree",
        "  distance  0.2500 at most between the probabilities of an answer",
        "FAILED     numbers",
    ]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (mixture(), "PROMOTE WITH DEFERRAL"),
        (mixture(losses=100), "REJECT"),
        (refused(), "NO MIXTURE"),
        (mixture(comparison=None, share=None, refused="spent"), "NOT LOOKED AT"),
    ],
)
def test_the_outcome_is_said_first(capsys, made, said):
    show(mixture_view(made))
    assert capsys.readouterr().out.startswith(said)


def test_a_harmed_slice_is_named(capsys):
    show(mixture_view(mixture(losses=60)))
    assert "language" in capsys.readouterr().out
