"""National numbers by their check digits."""

import pytest

from freehold.privacy import finds

pytest.importorskip("stdnum")


def values(text):
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


def test_available():
    assert finds.available()
