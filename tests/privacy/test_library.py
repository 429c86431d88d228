from freehold.privacy import library
from freehold.privacy.library import LIBRARY


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
