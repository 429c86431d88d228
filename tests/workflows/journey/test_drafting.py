"""Guesses from answers and requests, and the TOML they are written as."""

import json
import math
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.evals.scorers import make
from freehold.stats.compare import outcome_of
from freehold.stats.power import items_needed
from freehold.stats.rules import DecisionRule
from freehold.types.config import DataConfig, parse
from freehold.workflows.journey.drafting import (
    WANTED,
    Guess,
    answer_tokens,
    context_for,
    drafted_margin,
    guess_scorer,
    name_of,
    options_text,
    place,
    prompt_size,
    tokens_in,
    value,
)
from freehold.workflows.journey.init import DraftRequest, draft
from freehold.workflows.prove.power import PowerAssumptions, PowerTarget, plan
from freehold.workflows.prove.reach import Items, reach_findings


@pytest.mark.parametrize(
    ("answers", "scorer"),
    [
        (['{"a": 1, "b": 2}', '{"a": 3}'], "json_fields"),
        (['[{"function": {"name": "f", "arguments": "{}"}}]'] * 3, "tool_call"),
        (['[{"function": {"name": "f", "arguments": "{}"}}]', "Thanks!", "It left."], "turn"),
        (["4", "5.5", "-1"], "numeric"),
        (['["a", "b"]', '["b"]', "[]"], "json_fields"),
        (["yes", "no"] * 9, "label"),
        ([f"a long story number {n}" for n in range(20)], "exact"),
    ],
)
def test_scorers_are_guessed_from_the_answers(answers, scorer):
    assert guess_scorer(answers).scorer == scorer


def test_one_answer_in_twenty_may_be_of_another_kind():
    numbers = ["1"] * 19
    assert guess_scorer([*numbers, "a word"]).scorer == "numeric"
    assert guess_scorer([*numbers, "a word", "another"]).scorer == "label"
    assert guess_scorer(["true", "false"]).scorer == "label", "a truth value is not a number"


def test_the_labels_of_a_closed_set_are_counted_and_written():
    answers = ["card_lost"] * 5 + ["Card lost"] + ["top-up"] * 4
    assert guess_scorer(answers).options == {"labels": ["card_lost", "top-up"]}
    assert make("label", guess_scorer(answers).options).label_of("CARD LOST") == "card_lost"
    many = [f"label {n}" for n in range(300)] * 4
    assert guess_scorer(many) == Guess("label", {}, "the answers are 300 short texts again and again")


def test_many_labels_are_written_one_a_line():
    guess = guess_scorer([f"a label that is rather long {n}" for n in range(12)] * 4)
    assert tomllib.loads(f"options = {options_text(guess)}")["options"] == guess.options
    assert max(map(len, options_text(guess).splitlines())) < 60


def test_the_fields_of_a_task_are_all_that_its_answers_have():
    assert guess_scorer(['{"a": 1, "b": 2}', '{"a": 3, "c": 4}']).options == {"fields": ["a", "b", "c"]}
    assert guess_scorer([f'{{"k{n}": 1}}' for n in range(100)]).options == {}


def test_grades_are_scored_by_distance_and_other_numbers_are_not():
    grades = guess_scorer(["0", "1", "4", "5", "2.5"] * 9)
    assert tomllib.loads(f"options = {options_text(grades)}")["options"] == {"scale": [0, 5]}
    assert make("numeric", grades.options).binary is False
    assert guess_scorer(["0", "1"] * 20).options == {}
    assert guess_scorer([str(n) for n in range(10)]).options == {}, "each seen once"
    assert guess_scorer(["1", "20", "300"] * 9).options == {}


def test_options_are_an_inline_table():
    text = options_text(Guess("json_fields", {"fields": ["a", 'b"']}, ""))
    assert tomllib.loads(f"options = {text}") == {"options": {"fields": ["a", 'b"']}}
    assert options_text(Guess("exact", {}, "")) == ""


def test_a_context_holds_the_longest_request():
    assert [context_for(n) for n in (10, 960, 961, 10_000, 10**6)] == [1024, 1024, 2048, 16384, 16384]


def test_an_answer_may_become_half_as_long_again():
    assert [answer_tokens(n) for n in (0, 60, 10**6)] == [16, tokens_in(90), 2048]


def test_the_size_of_a_request_counts_its_tools_and_no_absent_fields():
    messages = [{"role": "user", "content": "hi", "name": None}]
    plain = prompt_size(messages, None)
    assert plain == len('[{"role":"user","content":"hi"}]')
    assert prompt_size(messages, [{"type": "function"}]) == plain + len('[{"type":"function"}]')


def test_paths_inside_the_folder_are_relative_to_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert place(Path("app/data/a.jsonl"), Path("app")) == "data/a.jsonl"
    assert place(Path("other/a.jsonl"), Path("app")) == str(tmp_path / "other" / "a.jsonl")
    assert (name_of(tmp_path), name_of(Path("/"))) == (tmp_path.name, "app")


@given(st.one_of(st.text(st.characters(codec="utf-8")), st.lists(st.text(st.characters(codec="utf-8")))))
def test_what_is_written_is_read_again(text):
    assert tomllib.loads(f"x = {value(text)}") == {"x": text}


def test_a_picture_does_not_count_by_its_bytes():
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 3_000_000}}
    asked = [{"role": "user", "content": [{"type": "text", "text": "what is this?"}, picture]}]
    assert prompt_size(asked, None) < 200


def log(path, records):
    path.write_text("\n".join(map(json.dumps, records)))
    return path


def claude(number):
    return {
        "request": {
            "model": "claude-sonnet-4-5", "system": "Help.", "max_tokens": 300,
            "messages": [{"role": "user", "content": f"hello {number}"}],
        },
        "response": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
            "content": [{"type": "text", "text": f"Dear customer {number}, thanks for {number * 3}."}],
            "stop_reason": "end_turn", "usage": {"input_tokens": 640, "output_tokens": 90},
        },
    }  # fmt: skip


def flat(number):
    """As a gateway's call-back dumps a call: the request's keys next to the response."""
    message = {"role": "assistant", "content": f"Dear customer {number}, thanks for {number * 3}."}
    return {
        "model": "gpt-4o", "messages": [{"role": "user", "content": f"hello {number}"}],
        "response": {
            "choices": [{"message": message}], "usage": {"prompt_tokens": 640, "completion_tokens": 90}
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("record", "answer", "lines"),
    [
        (claude, "response.content", ['api = "anthropic"', "https://api.anthropic.com", "ANTHROPIC_API_KEY"]),
        (flat, "response.choices[0].message", ["https://api.openai.com/v1", "OPENAI_API_KEY"]),
    ],
)
def test_the_file_speaks_the_api_of_the_log(tmp_path, record, answer, lines):
    made = draft(DraftRequest(folder=tmp_path, files=(log(tmp_path / "t.jsonl", map(record, range(40))),)))
    assert made.seen[0].mapping["answer"] == answer and made.seen[0].records == 40
    text = (tmp_path / "freehold.toml").read_text()
    assert all(line in text for line in lines) and "docs/" not in text


@pytest.mark.parametrize("record", [claude, flat])
def test_sizes_are_those_the_log_counted_where_they_are_more(tmp_path, record):
    path = log(tmp_path / "t.jsonl", map(record, range(40)))
    draft(DraftRequest(folder=tmp_path, files=(path,), data=DataConfig()))
    text = (tmp_path / "freehold.toml").read_text()
    assert parse(text).task.max_tokens == 90
    assert "the longest has 730 or fewer" in text


def promoted(items, margin):
    right = np.ones(items)
    return outcome_of(right, right, DecisionRule(margin=margin)) == "promote"


@pytest.mark.parametrize("records", [200, 300, 480, 700, 1000, 1100, 5000])
def test_what_is_written_can_be_promoted_and_the_next_smaller_cannot(records):
    found = drafted_margin(records, share=0.2)
    items = int(records * 0.2 * 0.95)
    assert promoted(items, found.margin)
    smaller = {0.03: 0.02, 0.05: 0.03, 0.08: 0.05, 0.1: 0.08, 0.15: 0.1}.get(found.margin)
    assert smaller is None or not promoted(items, smaller)


def test_what_two_points_take_is_enough():
    assert drafted_margin(1006, share=0.2).margin == 0.02


def test_a_log_that_proves_nothing_is_told_so():
    first, second, line = drafted_margin(100, share=0.2).lines
    assert "about 19 are held out" in first
    assert "158 records at least" in first
    assert second.startswith("# Two points")
    assert line == "margin = 0.02   # largest drop you accept: two points"


@pytest.mark.parametrize("margin", [0.02, 0.05])
def test_one_margin_has_one_number_of_items(margin):
    """In the draft of a project, in the check before a journey and in a plan."""
    needed = items_needed(margin)
    assert (
        plan(PowerTarget(margin), PowerAssumptions(discordance=0.05, true_difference=0.0)).rows[0].n == needed
    )
    (found,) = reach_findings(Items(40), margin=margin, alpha=0.025)
    assert found.fix is not None and f"about {needed:,} for a good chance" in found.fix
    if margin == WANTED:
        (before, _) = drafted_margin(500, share=0.2).lines
        assert f"{math.ceil(needed / 0.2 / 0.95):,} for a good chance" in before
