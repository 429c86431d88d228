"""Personal data by pattern and check digit."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.privacy import patterns as finder
from freehold.privacy.finds import Find
from freehold.privacy.patterns import LOOKS, TextShape, find


def kinds(text):
    return [(one.kind, text[one.start : one.end]) for one in find(text)]


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("write to ada.l+x@example.co.uk please", "EMAIL", "ada.l+x@example.co.uk"),
        ("key sk-abcdefghijklmnop1234", "SECRET", "sk-abcdefghijklmnop1234"),
        ("Authorization: Bearer abcdefghijklmnopqrst==", "SECRET", "abcdefghijklmnopqrst=="),
        ("to DE89 3704 0044 0532 0130 00 today", "IBAN", "DE89 3704 0044 0532 0130 00"),
        ("card 4111 1111 1111 1111.", "CARD", "4111 1111 1111 1111"),
        ("from 192.168.0.17 again", "IP", "192.168.0.17"),
        ("call +49 (30) 1234-5678", "PHONE", "+49 (30) 1234-5678"),
        ("call 030 12345678 now", "PHONE", "030 12345678"),
        ("im Büro 030 23125 014", "PHONE", "030 23125 014"),
        ("it was 10.1.2.3.", "IP", "10.1.2.3"),
        ("from 2001:db8::ff00:42:8329 again", "IP", "2001:db8::ff00:42:8329"),
        ("card 00:1b:44:11:3a:b7", "MAC", "00:1b:44:11:3a:b7"),
        ("use redis://:m0tDePasse-9@cache/0", "SECRET", "m0tDePasse-9"),
        ("token glpat-x7Yq2LmN9vBt4RzKc1Wd", "SECRET", "glpat-x7Yq2LmN9vBt4RzKc1Wd"),
        ("DOB 1975-06-30", "BIRTHDATE", "1975-06-30"),
    ],
)
def test_each_kind_is_found_whole(text, kind, found):
    assert kinds(text) == [(kind, found)]


@pytest.mark.parametrize(
    ("kind", "spelled"),
    [
        ("EMAIL", "jane.doe%40example.com"),
        ("EMAIL", "jane&#64;example.com"),
        ("EMAIL", "jane&commat;example.com"),
        ("EMAIL", r"jane\u0040example.com"),
        ("EMAIL", r"jane\x40example.com"),
        ("EMAIL", "jane.doe＠example.com"),
        ("EMAIL", "jürgen@münchen.de"),
        ("EMAIL", "ju\u0308rgen@mu\u0308nchen.de"),
        ("EMAIL", "ja\u200bne@exam\u00adple.com"),
        ("CARD", "4111\u00a01111\u00a01111\u00a01111"),
        ("CARD", "4111.1111.1111.1111"),
        ("CARD", "４１１１ １１１１ １１１１ １１１１"),
        ("CARD", "٤١١١ ١١١١ ١١١١ ١١١١"),
        ("SECRET", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ],
)
def test_a_value_is_found_however_it_is_spelled(kind, spelled):
    text = f"100% of A&B: the secret_access_key={spelled}, said they."
    assert kinds(text) == [(kind, spelled)]


def test_a_password_with_an_escape_is_one():
    assert kinds("see https://me:p%40ss@host/") == [("SECRET", "p%40ss")]


_PIECES = [
    "the", "12", "4711", ".", ":", "@", "-", "+", "(", "/", "0", "00", "+49", "30", "567", "4111", "1111",
    "DE89", "3704", "0044", "0532", "0130", "10.0.0.1", "fe80::1", "abc::d1", "a1:bc:de:fa:bc:de",
    "a1-bc-de-fa-bc-de", "me@x.org", "sk-abcdefghijklmnop", "ghp_abcdefghijklmnopqrstu", "born", "1.2.1990",
    "passport", "C01X00T47", "account", "12345678", "tel", "030", "call", "https://u:pw@h", "Bearer",
    "abcdefghijklmnopqrst", "4111.1111.",
]  # fmt: skip


@settings(max_examples=200)
@given(st.lists(st.sampled_from(_PIECES), max_size=14), st.sampled_from(("", " ")))
def test_what_is_not_looked_for_is_not_there(pieces, between):
    text = between.join(pieces)
    for look in LOOKS:
        assert look.is_possible(TextShape.of(text)) or not look.find(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no digits here",
        "order 4111 1111 1111 1112",
        "DE88 3704 0044 0532 0130 00 has a wrong check digit",
        "version 1.2.3.4.5",
        "999.1.1.1",
        "a::b and rows[1::2] at 10:20:30",
        "the code 5901234123457 of a product",
        "it cost 12,50 on 2026-03-01",
    ],
)
def test_what_fails_its_check_is_left_alone(text):
    assert [kind for kind, _ in kinds(text) if kind in ("CARD", "IBAN", "IP")] == []


def test_finds_are_in_order_and_apart():
    text = "a@example.com then 10.0.0.1, b@example.com"
    found = find(text)
    assert [one.kind for one in found] == ["EMAIL", "IP", "EMAIL"]
    assert all(first.end <= second.start for first, second in pairwise(found))


def test_a_private_key_is_found_whole_and_half_a_one_not():
    key = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----"
    assert kinds(f"here: {key}.") == [("SECRET", key)]
    assert kinds("-----BEGIN PRIVATE KEY-----\nMIIB") == []


def test_keys_of_a_known_form_are_secrets_and_order_numbers_are_not():
    text = "AKIAIOSFODNN7EXAMPLE, https://me:hunter2hunter2@host/, order 20260301-000123456789 of ada"
    assert [text[one.start : one.end] for one in finder.find_secrets(text)] == [
        "AKIAIOSFODNN7EXAMPLE",
        "hunter2hunter2",
    ]


def test_a_private_key_goes_whole():
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nabc=\n-----END RSA PRIVATE KEY-----"
    assert finder.find_secrets(f"my key:\n{key}\nthanks") == [Find(8, 8 + len(key), "SECRET")]
