"""Guesses from answers and requests, and the TOML they are written as."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.evals.scorers import make
from freehold.workflows.journey.drafting import (
    Guess,
    answer_tokens,
    context_for,
    guess_scorer,
    name_of,
    options_text,
    place,
    prompt_size,
    tokens_in,
    value,
)


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
