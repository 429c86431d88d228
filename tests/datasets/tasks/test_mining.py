import random

import pytest
from benchmarks.mixed_log import COMPANY, complaint, passage

from freehold.datasets.tasks.mining import templates


def pieces(texts, **how):
    return [one.pieces for one in templates(texts, **{"user_turns": False, **how})]


def test_time_stamps_and_names_become_slots():
    texts = [
        f"You help {name}. It is {hour}:00 now. Be kind to all."
        for name in ("Ada", "Eve", "Ivo")
        for hour in range(9)
    ]
    assert pieces(texts) == [("You help", ". It is", "now. Be kind to all.")]


def test_documents_that_come_again_are_a_slot():
    draw = random.Random(1)
    documents = [passage(draw, 60) for _ in range(20)]
    texts = [
        f"Answer from the handbook.\n{draw.choice(documents)}\n{draw.choice(documents)}\nNever guess."
        for _ in range(300)
    ]
    assert pieces(texts) == [("Answer from the handbook.", ".\nNever guess.")]


def test_tasks_behind_one_preamble_are_told_apart():
    tasks = ("You write marketing mails with a subject line and a link at the end.",
             "You decide whether a return is accepted; answer yes, no or ask.",
             "You turn a data sheet into a listing with a title and five points.")  # fmt: skip
    found = pieces([f"{COMPANY}\n\n{task}" for task in tasks for _ in range(10)])
    assert len(found) == 3 and all(any(task[:20] in " ".join(one) for one in found) for task in tasks)


def test_an_edited_prompt_stays_one_template():
    found = pieces(
        ["Sort it into one queue. Name it only."] * 9 + ["Sort it into one queue, please. Name it only."] * 9
    )
    assert len(found) == 1


def test_what_people_say_is_no_template():
    draw = random.Random(2)
    assert not pieces([complaint(draw) for _ in range(800)], user_turns=True)


def test_instructions_in_the_users_turn_are_found_among_free_text():
    draw = random.Random(3)
    texts = [complaint(draw) for _ in range(300)] + [
        f"Translate to German:\n{complaint(draw)}" for _ in range(60)
    ]
    assert pieces(texts, user_turns=True) == [("Translate to German:",)]


def test_rare_and_empty_texts_make_no_template():
    assert pieces(["Sort the message into a queue."] * 4, least=5) == []
    assert pieces(["", ""]) == []


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("Q: {}\nA:", ("Q:", "A:")),
        ("Proofread: {}", ("Proofread:",)),
        ("Write a product description for {}", ("Write a product description for",)),
        ("{} Explain it to a child of five, please.", ("Explain it to a child of five, please.",)),
    ],
)
def test_short_instructions_of_users_are_found_too(prompt, found):
    draw = random.Random(5)
    texts = [complaint(draw) for _ in range(100)] + [prompt.format(complaint(draw)) for _ in range(60)]
    assert pieces(texts, user_turns=True) == [found]
