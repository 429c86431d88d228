import pytest

from freehold.datasets.importing.files.row import json_or_none, shown
from freehold.datasets.importing.records import SHOWN_CHARACTERS


def test_a_reject_shows_the_beginning_whatever_the_bytes():
    assert shown(b"a" * (SHOWN_CHARACTERS + 1)) == "a" * SHOWN_CHARACTERS
    assert shown(b"gr\xff") == "gr\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("text", [b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_has_no_value(text):
    assert json_or_none(text) is None


def test_json_has_its_value():
    assert json_or_none(b'{"a": [1]}') == {"a": [1]}
