import pytest

from freehold.gateway.capture.redaction import redact, redact_text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("write to ada.l@example.co.uk please", "write to <EMAIL> please"),
        ("call +49 170 1234567 or 0170 1234567", "call <PHONE> or <PHONE>"),
        ("card 4111 1111 1111 1111 exp 12/29", "card <CARD> exp 12/29"),
        ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN <IBAN>."),
        ("key sk-proj-abcdefghijklmnop1234", "key <SECRET>"),
        ("from 192.168.0.17 today", "from <IP> today"),
    ],
)
def test_finds(text, kept):
    assert redact_text(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "order 4111111111111112 of 2026-03-01",  # no Luhn
        "version 1.2.3, 12.50 EUR, order A-10023",
        "at 10:30 on 24.12.2026 for 2 people",
        "",
        "Wo ist mein Paket? 📦",
    ],
)
def test_leaves_alone(text):
    assert redact_text(text) == text


def test_every_string_of_a_value_but_no_key():
    value = {"a@b.example": ["x@y.example", 5, None, {"deep": "x@y.example"}]}
    assert redact(value) == {"a@b.example": ["<EMAIL>", 5, None, {"deep": "<EMAIL>"}]}
