from tests.prompts.modelled import ASKED, SYSTEM, TASK, samples

from freehold.prompts.forms import FREE, StatedForm, form_of
from freehold.prompts.variants import AS_SENT, most_common_system, rewritten, variants

FORM = form_of(TASK, samples(30))


def test_all_ways_are_there_and_the_request_as_it_is_sent_comes_first():
    made = variants(ASKED, FORM)
    assert [one.name for one in made] == [
        AS_SENT,
        "as user",
        "reminder",
        "reminder + as user",
        "fields",
        "fields + as user",
        "fields + reminder",
        "fields + reminder + as user",
    ]
    assert len({one.preparation.id for one in made}) == len(made)
    first = made[0].preparation
    assert (first.system, first.system_as_user, first.reminder) == (None, False, None)
    assert all(one.preparation.system_was == SYSTEM for one in made)
    assert made[4].preparation.system == f"{SYSTEM}\n\n{FORM.statement}", "the application's words stay"


def test_what_the_prompt_says_already_is_not_said_again():
    told = ASKED._replace(system="Answer with queue, order, billing, delivery, returns.")
    assert [one.name for one in variants(told, FORM)] == [
        AS_SENT,
        "as user",
        "reminder",
        "reminder + as user",
    ]


def test_without_a_system_prompt_the_form_is_said_at_the_end():
    made = variants(ASKED._replace(system=None), FORM)
    assert [one.name for one in made] == [AS_SENT, "reminder", "fields", "fields + reminder"]
    assert all(one.preparation.system is None and not one.preparation.system_as_user for one in made)
    assert made[3].preparation.reminder == f"{FORM.statement}\n{FORM.reminder}"


def test_prompts_that_differ_from_request_to_request_are_left_alone():
    made = variants(ASKED._replace(system=None, varied=True), FORM)
    assert any(one.preparation.system_as_user for one in made)
    assert {(one.preparation.system_was, one.preparation.system) for one in made} == {(None, None)}


def test_a_form_that_is_not_known_leaves_the_role():
    assert [one.name for one in variants(ASKED, FREE)] == [AS_SENT, "as user"]
    assert [one.name for one in variants(ASKED, StatedForm("number", None, "a number"))][2] == "reminder"


def test_rewriting_keeps_what_else_was_chosen():
    start = variants(ASKED, FORM)[3].preparation
    made = rewritten(ASKED, start, "Sort it.")
    assert (made.system, made.system_was) == ("Sort it.", SYSTEM)
    assert (made.system_as_user, made.reminder) == (True, FORM.reminder)
    assert made.id != start.id


def test_the_most_common_prompt_and_its_share():
    assert most_common_system([SYSTEM, "other", SYSTEM, None]) == (SYSTEM, 0.5)
    assert most_common_system([None, None]) == (None, 1.0)
    assert most_common_system([]) == (None, 0.0)
