"""Guesses from answers and requests, and the TOML they are written as."""

import json
import math
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.catalog import models
from freehold.errors import ConfigError, InputError
from freehold.evals.scorers import make
from freehold.stats.compare import outcome_of
from freehold.stats.power import items_needed
from freehold.stats.rules import DecisionRule
from freehold.types.choosing import ModelLimits, Needs
from freehold.types.config import DataConfig
from freehold.types.config_file import parse
from freehold.workflows.choose.assess import assess
from freehold.workflows.journey import proposals
from freehold.workflows.journey.drafting import (
    WANTED,
    Guess,
    drafted_margin,
    guess_scorer,
    name_of,
    options_text,
    place,
    prompt_size,
    value,
)
from freehold.workflows.journey.init import DraftRequest, draft
from freehold.workflows.journey.proposals import QuestionLanguages, picked, proposed, task_kind
from freehold.workflows.project import open_project
from freehold.workflows.prove.power import PowerAssumptions, PowerTarget, plan
from freehold.workflows.prove.reach import Items, reach_findings
from freehold.workflows.train.encoder import MULTILINGUAL_BASE


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


def test_many_labels_are_written_one_a_line():
    guess = guess_scorer([f"a label that is rather long {n}" for n in range(12)] * 4)
    assert tomllib.loads(f"options = {options_text(guess)}")["options"] == guess.options
    assert max(map(len, options_text(guess).splitlines())) < 60


def test_labels_and_fields_are_all_that_the_answers_have():
    answers = ["card_lost"] * 5 + ["Card lost"] + ["top-up"] * 4
    assert guess_scorer(answers).options == {"labels": ["card_lost", "top-up"]}
    assert make("label", guess_scorer(answers).options).label_of("CARD LOST") == "card_lost"
    many = [f"label {n}" for n in range(300)] * 4
    assert guess_scorer(many) == Guess("label", {}, "the answers are 300 short texts again and again")
    assert guess_scorer(['{"a": 1, "b": 2}', '{"a": 3, "c": 4}']).options == {"fields": ["a", "b", "c"]}
    assert guess_scorer([f'{{"k{n}": 1}}' for n in range(100)]).options == {}


def test_grades_are_scored_by_distance_and_other_numbers_are_not():
    grades = guess_scorer(["0", "1", "4", "5", "2.5"] * 9)
    assert tomllib.loads(f"options = {options_text(grades)}")["options"] == {"scale": [0, 5]}
    assert make("numeric", grades.options).binary is False
    assert guess_scorer(["0", "1"] * 20).options == {}
    assert guess_scorer([str(n) for n in range(10)]).options == {}, "each seen once"
    assert guess_scorer(["1", "20", "300"] * 9).options == {}


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


def test_a_log_that_proves_nothing_is_told_so():
    found = drafted_margin(100, share=0.2)
    first, second, line = found.lines
    assert found.least == 158 and drafted_margin(158, share=0.2).least is None
    assert "about 19 are held out" in first
    assert "158 records would allow a margin of" in first
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


def chat(text, answer, **more):
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    return {"messages": messages, **more}


def log_of_init(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_what_the_log_tells_is_written(tmp_path):
    path = log_of_init(
        tmp_path / "traffic.jsonl",
        [
            {
                "request": {"model": "gpt-4o", "messages": [{"role": "user", "content": f"message {n}"}]},
                "response": {
                    "choices": [
                        {"index": 0, "message": {"role": "assistant", "content": ("yes", "no")[n % 2]}}
                    ]
                },
                "user": f"u{n % 7}",
                "metadata": {"language": ("en", "de")[n % 2], "ticket": n},
            }
            for n in range(60)
        ],
    )
    drafted = draft(DraftRequest(folder=tmp_path, files=(path,)))
    text = (tmp_path / "freehold.toml").read_text()
    config = parse(text)
    assert config.incumbent.model == drafted.incumbent == "gpt-4o"
    assert config.data.files == ("traffic.jsonl",)
    assert (config.task.scorer, config.task.group_by) == ("label", "user")
    assert '# slices = ["language"]' in text  # a ticket's number is no slice
    assert drafted.seen[0].records == 60 and drafted.seen[0].whole
    assert any("no record says what is right" in line for line in drafted.open)
    (told,) = [line for line in drafted.open if "answers of gpt-4o would be learned" in line]
    assert "allowed for" in told and "3.3(e)) for SmolLM2-135M-Instruct" in told


def test_each_model_of_a_log_has_its_end(tmp_path):
    records = [
        {"model": ("gpt-4o-2024-08-06", "claude-3-haiku-20240307")[n % 3 == 0], **chat(f"message {n}", "yes")}
        for n in range(60)
    ]
    drafted = draft(DraftRequest(folder=tmp_path, files=(log_of_init(tmp_path / "log.jsonl", records),)))
    assert drafted.rented.startswith("gpt-4o-2024-08-06 is shut down on 2027-01-14")
    assert any("[incumbent]: claude-3-haiku-20240307 was shut down on" in line for line in drafted.open)


def test_a_log_without_the_incumbents_answers_is_said_to_promote_nothing(tmp_path):
    path = tmp_path / "log.csv"
    rows = "".join(f"message {n},{n % 3},gpt-4o,{n}\n" for n in range(60))
    path.write_text("utterance,intent,model,latency_ms\n" + rows)
    drafted = draft(DraftRequest(folder=tmp_path, files=(path,)))
    assert any(
        "no record has an answer of gpt-4o, so nothing can be promoted" in line for line in drafted.open
    )


@pytest.mark.parametrize(("a_class", "held_out", "samples"), [(10, 320, 160), (30, 0, 384)])
def test_training_samples_are_those_that_will_be_learned_from(tmp_path, a_class, held_out, samples):
    def labelled(name, count):
        records = [chat(f"{name} {n}", f"label {n % 20}") for n in range(count)]
        return log_of_init(tmp_path / name, 2 * records)  # a question that comes again is learned once

    apart = (labelled("proof.jsonl", held_out),) if held_out else ()
    draft(DraftRequest(folder=tmp_path, files=(labelled("traffic.jsonl", 20 * a_class),), held_out=apart))
    text = (tmp_path / "freehold.toml").read_text()
    assert f"# {samples} training samples teach a model the task" in text
    assert "[data] unlabelled lets it learn" in " ".join(text.replace("\n# ", " ").split())


def test_a_log_of_few_conversations_begins_with_the_margin_that_they_can_prove(tmp_path):
    def turn(n):
        opening = {"role": "user", "content": f"conversation {n % 40}"}
        more = [{"role": "assistant", "content": "yes"}, {"role": "user", "content": f"turn {n}"}]
        return {"messages": [opening, *more, {"role": "assistant", "content": ("yes", "no")[n % 2]}]}

    draft(
        DraftRequest(
            folder=tmp_path, files=(log_of_init(tmp_path / "t.jsonl", [turn(n) for n in range(1_200)]),)
        )
    )
    text = (tmp_path / "freehold.toml").read_text()
    assert "# The 1,200 records are of 40 conversations, users or questions, and each counts once." in text


@pytest.mark.parametrize(("rows", "held_out", "margin"), [(300, 0, 0.08), (1_100, 0, 0.02), (300, 210, 0.02)])
def test_the_margin_is_one_that_what_is_held_out_can_prove(tmp_path, rows, held_out, margin):
    def labelled(name, count):
        return log_of_init(tmp_path / name, [chat(f"{name} {n}", ("yes", "no")[n % 2]) for n in range(count)])

    files = (labelled("traffic.jsonl", rows),)
    apart = (labelled("proof.jsonl", held_out),) if held_out else ()
    draft(DraftRequest(folder=tmp_path, files=files, held_out=apart))
    text = (tmp_path / "freehold.toml").read_text()
    assert parse(text).task.margin == margin
    assert ("Two points (0.02) take about 1,006 records" in text) == (margin > 0.02)


def test_columns_that_were_named_stay_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("frage,klasse\n" + "".join(f"frage {n},{n % 3}\n" for n in range(30)))
    draft(DraftRequest(folder=tmp_path, files=(path,), data=DataConfig(input="frage", label="klasse")))
    config = parse((tmp_path / "freehold.toml").read_text())
    assert (config.data.input, config.data.label, config.task.scorer) == ("frage", "klasse", "numeric")
    assert config.incumbent is None


def test_without_a_log_it_starts_with_the_gateway(tmp_path):
    drafted = draft(DraftRequest(folder=tmp_path / "new", incumbent="gpt-4o-2024-08-06"))
    assert parse((tmp_path / "new/freehold.toml").read_text()).incumbent.model == "gpt-4o-2024-08-06"
    assert any("freehold up" in line for line in drafted.open)


def test_a_file_of_rejects_only_names_the_first(tmp_path):
    path = log_of_init(tmp_path / "t.jsonl", [chat("a", "")] * 3)
    with pytest.raises(InputError, match="no record could be used; line 1"):
        draft(DraftRequest(folder=tmp_path, files=(path,)))
    assert not (tmp_path / "freehold.toml").exists()


@pytest.mark.parametrize(("name", "made"), [("..x", "-x"), ("a\\b", "a-b"), ("line\nbreak", "line-break")])
def test_an_application_takes_its_folders_name_as_far_as_it_can(tmp_path, name, made):
    folder = tmp_path / name
    folder.mkdir()
    draft(DraftRequest(folder=folder, incumbent="m"))
    assert parse((folder / "freehold.toml").read_text()).app.name == made


def test_nothing_is_written_that_is_no_valid_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be the name of a folder"):
        draft(DraftRequest(folder=tmp_path, name="../x", incumbent="m"))
    assert not (tmp_path / "freehold.toml").exists()
    path = log_of_init(tmp_path / "t.jsonl", [chat("a", "b")] * 3)
    with pytest.raises(ConfigError):
        draft(DraftRequest(folder=tmp_path, files=(path,), data=DataConfig(answers="nonsense")))
    assert not (tmp_path / "freehold.toml").exists()


LABELS = ["refund", "lamp"] * 150


def asked(languages, text, times):
    for _ in range(times):
        languages.add([{"role": "system", "content": "Sort it."}, {"role": "user", "content": text}])
    return languages


def test_the_language_of_the_questions_decides_which_encoder_is_proposed():
    english = asked(QuestionLanguages(), "Where is the parcel that I have ordered from you last week?", 50)
    assert english.foreign_share == 0
    german = asked(english, "Wo ist denn bitte das Paket, das ich letzte Woche bei Ihnen bestellt habe?", 50)
    assert german.foreign_share == 0.5
    (_, first, *_) = proposed(Guess("label", {}, ""), LABELS, german, 300)
    assert (first.candidate.model, first.candidate.method) == (MULTILINGUAL_BASE, "encoder")
    assert QuestionLanguages().foreign_share == 0, "of no question nothing is known"


def test_the_model_that_writes_is_the_first_of_the_shortlist_for_the_task(tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    project = open_project(written(tmp_path))
    assert task_kind(Guess("label", {}, ""), LABELS) == "labels"
    needs = Needs(task="labels", prompt_tokens=60, completion_tokens=4, context_tokens=1024)
    monkeypatch.setattr(proposals, "why_not_here", lambda model, settings: None)
    found = picked(project, needs)
    shortlist = assess(project, stated=needs, limits=ModelLimits(trainable=True)).shortlist
    writing = [row.model for row in shortlist if row.method is None and models.get(row.model).instruct]
    first, second = writing[:2]
    assert (found.model, found.instead) == (first, None)
    (*_, lora) = proposed(Guess("label", {}, ""), LABELS, QuestionLanguages(), 300, writes=found)
    assert lora.candidate.model == found.model and "top pick of freehold assess" in lora.why
    monkeypatch.setattr(
        proposals, "why_not_here", lambda model, settings: "no hub" if model == first else None
    )
    found = picked(project, needs)
    assert found.model == second and found.instead.endswith(
        f"{first}, the top pick of freehold assess, cannot be had: no hub"
    )


def written(folder):
    path = folder / "freehold.toml"
    path.write_text('[app]\nname = "a"\n[use]\ncommercial = true\n')
    return path
