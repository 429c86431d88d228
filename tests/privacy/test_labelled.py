"""Values that only a word before them tells."""

import pytest

from freehold.privacy.labelled import CALLS, find, says


def kinds(text):
    return [(one.kind, text[one.start : one.end]) for one in find(text)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("BORN ON 14 March 1987", "BIRTHDATE", "14 March 1987"),
        ("am 14.03.1987 in Ulm geboren", "BIRTHDATE", "14.03.1987"),
        ("passport: K20456891", "DOCUMENT", "K20456891"),
        ("Kontonummer 1048273650", "ACCOUNT", "1048273650"),
        ("ring me: 912 345 678", "PHONE", "912 345 678"),
    ],
)
def test_a_word_before_it_tells(text, kind, value):
    assert kinds(text) == [(kind, value)]


@pytest.mark.parametrize(
    "text",
    [
        "due 14.03.1987",
        "K20456891",
        "order 1048273650",
        "912 345 678",
        "do you have my account? Order 1048273650",
        "passport\nK20456891",
        "account" + " " * 50 + "1048273650",
    ],
)
def test_without_it_nothing_is_told(text):
    assert kinds(text) == []


def test_several_near_one_word_are_each_found_once():
    assert [value for _, value in kinds("accounts 1048273650, 20481736 and account 30481736")] == [
        "1048273650",
        "20481736",
        "30481736",
    ]


def test_a_word_counts_in_any_case_and_only_before():
    assert says(CALLS, "PHONE 1", 6) and not says(CALLS, "1 phone", 0)
