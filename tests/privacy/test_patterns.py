"""Personal data by pattern and check digit."""

from itertools import pairwise

import pytest

from freehold.privacy import secrets as finder
from freehold.privacy.finds import Find
from freehold.privacy.patterns import find


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
    assert [text[one.start : one.end] for one in finder.find(text)] == [
        "AKIAIOSFODNN7EXAMPLE",
        "hunter2hunter2",
    ]


def test_a_private_key_goes_whole():
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nabc=\n-----END RSA PRIVATE KEY-----"
    assert finder.find(f"my key:\n{key}\nthanks") == [Find(8, 8 + len(key), "SECRET")]
