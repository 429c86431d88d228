"""A judge's answers, its rubrics, and labels of people."""

import asyncio

import pytest
from aiohttp import web
from tests.evals.judging.conftest import answer, honest, run

from freehold.errors import ConfigError, InputError
from freehold.evals.comparing import SideBySide
from freehold.evals.judging.human_labels import answers_key, read_differences, read_labels
from freehold.evals.judging.rubric import load
from freehold.evals.task_comparison import compare_by_task
from freehold.types.dataset import Sample
from freehold.types.evaluation import Task


def test_unreadable_judgements_are_unscored(serve):
    made, _ = run(serve, lambda body, attempt: "I like both", ["a"] * 3, ["b"] * 3)
    assert {one.score.reason for one in made.candidate} == {
        "judge_unreadable: no verdict in the judge's answer"
    }
    made, _ = run(serve, lambda body, attempt: web.Response(status=500), ["a"], ["b"])
    assert made.candidate[0].score.reason.startswith("judge_failed: http_500")


def test_judgements_are_kept(serve, tmp_path):
    async def go():
        async with serve(honest, streaming=False) as server:
            options = {"base_url": server.endpoint.base_url, "model": "j", "cache": str(tmp_path / "j.jsonl")}
            for _ in range(2):
                await compare_by_task(
                    SideBySide(
                        [Sample(id="s0", messages=())],
                        [None],
                        [answer(0, "i", "bad")],
                        [answer(0, "c", "good")],
                        "i",
                        "c",
                    ),
                    Task(name="t", scorer="judge", options=options),
                )
            return len(server.seen)

    assert asyncio.run(go()) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind = 'pairwise'", "missing required field `prompt`"),
        ("nonsense", "not valid TOML"),
        ("kind = 'absolute'\nprompt = '{answer}'\nverdict = '(a)'", "kind is absolute, expected pairwise"),
        ("kind = 'pairwise'\nprompt = '{answer_a}'\nverdict = '(a)'", "lacks answer_b"),
        ("kind = 'pairwise'\nprompt = '{answer_a}{answer_b}{x}'\nverdict = '(a)'", "names x"),
        ("kind = 'pairwise'\nprompt = '{answer_a}{answer_b}'\nverdict = 'a'", "no group"),
        ("kind = 'pairwise'\nprompt = '{answer_a}{answer_b}'\nverdict = '('", "can't be read"),
        ("kind = 'pairwise'\nprompt = ''\nverdict = ''\ncolour = 1", "unknown field `colour`"),
    ],
)
def test_a_rubric_with_a_mistake_is_named(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as raised:
        load(path, "pairwise")
    assert "mine.toml" in raised.value.message


def test_braces_in_answers_are_left_alone():
    asked = load(None, "pairwise").messages(
        question="{x}", reference="–", answer_a='{"a": 1}', answer_b="{answer_a}"
    )
    assert '{"a": 1}' in asked[-1]["content"]
    assert "{answer_a}" in asked[-1]["content"]


def test_human_labels(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text(
        '{"id": "a", "winner": "candidate"}\n{"id": "b", "winner": "tie"}\n\n{"id": "c", "winner": null}\n'
        '{"id": "d", "candidate": 2, "incumbent": 5}\n{"id": "a", "winner": "incumbent"}\n'
    )
    assert read_labels(path) == {"a": -1.0, "b": 0.0, "d": -1.0}
    assert read_differences(path, 4) == {"d": -0.75}
    path.write_text('{"id": "a", "winner": "mine"}\n')
    with pytest.raises(InputError, match=r"labels.jsonl:1: winner is 'mine'"):
        read_labels(path)


def test_a_pair_that_was_skipped_later_has_no_label(tmp_path):
    path = tmp_path / "labels.jsonl"
    path.write_text('{"id": "a", "winner": "candidate"}\n{"id": "a", "winner": null}\n')
    assert read_labels(path) == {}


def test_white_space_makes_no_other_answers():
    assert answers_key("a  b", "c") == answers_key(" a b\n", "c") != answers_key("c", "a b")
