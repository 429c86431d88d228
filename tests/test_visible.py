"""What of strangers' words is shown, and what is made visible."""

import pytest

from freehold.visible import visible, without_password


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]52;c;cm0=\x07", "\\x1b]52;c;cm0=\\x07"),
        ("\x9b31m\x85", "\\x9b31m\\x85"),
        ("a\rb\x08\x7f", "a\\x0db\\x08\\x7f"),
        ("\u202eevil\u2069\u200f", "\\u202eevil\\u2069\\u200f"),
        ("\U000e0041\ud800", "\\U000e0041\\ud800"),
    ],
)
def test_what_steers_or_hides_is_made_visible(text, shown):
    assert visible(text) == visible(text, styles=True) == shown
    assert visible(shown) == shown and shown.isprintable()


def test_a_pile_of_marks_is_cut_and_counted_and_the_marks_of_languages_stay():
    pile = "a" + "\u0301" * 100_000 + "b" + "\u0488" * 9
    shown = "a" + "\u0301" * 8 + "[99,992 marks more]b" + "\u0488" * 8 + "[1 marks more]"
    assert visible(pile) == visible(pile, styles=True) == shown
    assert len(visible(("x" + "\u0301" * 50) * 1000)) < 40_000
    for text in (
        "\u0e01\u0e33\u0e25\u0e31\u0e07",
        "\u05e9\u05c1\u05b8\u05dc\u05d5\u05b9\u05dd",
        "🏳️\u200d🌈".replace("\u200d", ""),
        "…—–‘’“”«»¡¿„",
    ):
        assert visible(text) == text


def test_styles_stay_where_they_are_wanted_and_concealed_text_does_not():
    styled = "\x1b[31m\x1b[1mred\x1b[0m"
    assert visible(styled, styles=True) == styled and "\x1b" not in visible(styled)
    assert "\x1b" not in visible("\x1b[8mhidden\x1b[38;5;1m", styles=True)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:s3cr:et@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?user=me&password=s3cret", "postgresql://host/db?user=me&password=***"),
        ("sqlite:///a/b.sqlite", "sqlite:///a/b.sqlite"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
    ],
)
def test_passwords_are_hidden(address, shown):
    assert without_password(address) == shown
