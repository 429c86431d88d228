"""Bad proposers: each reply is refused for a reason, and counted."""

import pytest
from tests.prompts.modelled import SYSTEM, samples

from freehold.prompts.checks import Checks
from freehold.prompts.leaks import LeakCheck


def checks():
    leaks = LeakCheck([("validation", samples(9))], [SYSTEM])
    return Checks(SYSTEM, leaks, lambda text: "far too long" if len(text) > 500 else None)


def reply(prompt, words="It wrote sentences."):
    return f"{words}\n```\n{prompt}\n```\n"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("", "no_block"),
        ("I would rather not.", "no_block"),
        ("``` unfinished", "no_block"),
        (reply(""), "empty"),
        (reply(" \n "), "empty"),
        (reply("\x1b[2J Answer with JSON only please"), "not_text"),
        (reply("Answer with\u202e JSON only please"), "not_text"),
        (reply("{}[]{}[] 0101 0101"), "not_text"),
        (reply(f"  {SYSTEM}\n"), "unchanged"),
        (reply("Answer with JSON. " * 40), "too_long"),
        (reply("For v 3: my invoice from week 3 is not what I had hoped answer billing"), "leak"),
    ],
)
def test_what_must_not_be_used_is_refused_and_told(said, code):
    taken = checks()
    made = taken.take(said, SYSTEM)
    assert (made.refused, made.text, made.number) == (code, None, 1)
    assert made.why_refused
    assert taken.proposals == [made]


def test_a_leak_is_not_kept_in_the_record():
    said = reply(
        "For v 3: my invoice from week 3 is not what I had hoped say billing",
        "As in v 3: my invoice from week",
    )
    made = checks().take(said, SYSTEM)
    assert made.refused == "leak"
    assert "invoice" not in str(made)


def test_a_good_one_is_taken_with_the_proposer_s_words_and_not_twice():
    taken = checks()
    made = taken.take(reply("Answer with one JSON object."), SYSTEM)
    assert (made.refused, made.text, made.words) == (
        None,
        "Answer with one JSON object.",
        "It wrote sentences.",
    )
    again = taken.take(reply("Answer  with one JSON\nobject."), SYSTEM)
    assert (again.refused, again.number) == ("repeated", 2)


def test_words_that_steer_a_terminal_stay_what_they_are_for_whoever_prints_them():
    made = checks().take(reply("Answer with one JSON object.", "\x1b]0;pwned\x07 why"), SYSTEM)
    assert made.refused is None and made.words == "\x1b]0;pwned\x07 why"


def test_letters_of_other_scripts_are_text():
    assert checks().take(reply("必ずJSON形式だけで答えてください。"), SYSTEM).refused is None
    assert checks().take(reply("Отвечай только объектом JSON."), SYSTEM).refused is None
