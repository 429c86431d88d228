"""Values that only a word before them tells."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.privacy import finds, library, patterns
from freehold.privacy.finds import CALLS, Find, apart, blanked, find_labelled, replaced, says
from freehold.privacy.library import LIBRARY


def kinds(text):
    return [(one.kind, text[one.start : one.end]) for one in find_labelled(text)]


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


PARTS = st.sampled_from(
    [
        "ada@example.com",
        "+49 170 1234567",
        "4111 1111 1111 1111",
        "DE89 3704 0044 0532 0130 00",
        "10.0.0.7",
        " ",
        ", ",
        "order 4711",
        "0170 1234567",
        "sk-proj-abcdefghijklmnop1234",
        "日本",
        "x",
    ]
)


def test_of_two_that_overlap_the_longer_one_stays():
    assert apart([Find(0, 4, "A"), Find(2, 9, "B"), Find(9, 10, "C")]) == [Find(2, 9, "B"), Find(9, 10, "C")]


@given(st.lists(PARTS).map("".join))
def test_finds_are_in_order_apart_and_inside(text):
    found = patterns.find(text)
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert len(blanked(text, found, "_")) == len(text)
    assert replaced(text, found, lambda find_labelled, value: value) == text


def test_national_numbers_and_phones():
    text = "call 030 1234567, my SSN is 457-55-5462, mail a@b.example"
    found = {one.kind: text[one.start : one.end] for one in LIBRARY.find(text)}
    assert found == {"PHONE": "030 1234567", "ID": "457-55-5462", "EMAIL": "a@b.example"}


def test_a_text_longer_than_the_library_takes_is_searched_to_its_end(monkeypatch):
    monkeypatch.setattr(library, "PIECE_CHARACTERS", 200)
    text = "my SSN is 457-55-5462 and that is all there is to say. " * 40
    found = LIBRARY.find(text)
    assert [text[one.start : one.end] for one in found] == ["457-55-5462"] * 40
    assert sorted(found) == found


def test_a_word_near_a_number_says_what_it_is():
    text = "my bank account number is 12345678901, my passport 912803456"
    assert {text[one.start : one.end] for one in LIBRARY.find_surely(text)} == {"12345678901", "912803456"}
    text = "phone me: 650 555 1234"
    assert [one.kind for one in LIBRARY.find_surely(text)] == ["PHONE"]


def test_numbers_of_orders_and_parcels_are_not_surely_phones():
    text = "the invoice for order 364827, LL-482913, tracking number 7740 9183 22"
    assert LIBRARY.find_surely(text) == []


def test_in_a_very_long_text_only_patterns_look(monkeypatch):
    monkeypatch.setattr(library, "MOST_CHARACTERS", 50)
    text = "my SSN is 457-55-5462, mail a@b.example" + " and so on" * 5
    assert [one.kind for one in LIBRARY.find(text)] == ["EMAIL"]


def values(text):
    pytest.importorskip("stdnum")
    return [text[one.start : one.end] for one in finds.find_national(text)]


@pytest.mark.parametrize(
    "text",
    ["Steuer-ID [22 381 567 927]", "[2 89 09 75 775 840 26]", "DNI [79701867J]", "NIE [Z8141335F]",
     "[RMBGDP52C08H580M]",
     "BSN [066095177]", "NIF [224208500]", "PESEL [96030865227]", "NIP [521-421-66-74]", "NHS [974 490 9552]",
     "NINO [AB 12 34 56 C]"],
)  # fmt: skip
def test_right_check_digits_near_their_word(text):
    begin, end = text.index("["), text.index("]")
    assert values(text.replace("[", "").replace("]", "")) == [text[begin + 1 : end]]


@pytest.mark.parametrize(
    "text",
    [
        "order 066095177",
        "BSN 066095178",
        "PESEL 96030865228",
        "DNI 79701867K",
        "RMBGDP52C08H580N",
        "NHS 9744909553",
    ],
)
def test_others_are_left_alone(text):
    assert values(text) == []
