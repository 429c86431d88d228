from freehold.privacy import secrets as finder
from freehold.privacy.finds import Find


def test_keys_of_a_known_form_are_secrets_and_order_numbers_are_not():
    text = "AKIAIOSFODNN7EXAMPLE, https://me:hunter2hunter2@host/, order 20260301-000123456789 of ada"
    assert [text[one.start : one.end] for one in finder.find(text)] == [
        "AKIAIOSFODNN7EXAMPLE",
        "hunter2hunter2",
    ]


def test_a_private_key_goes_whole():
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nabc=\n-----END RSA PRIVATE KEY-----"
    assert finder.find(f"my key:\n{key}\nthanks") == [Find(8, 8 + len(key), "SECRET")]
