import pytest

from freehold.licensing.naming import begins_with, compatible


@pytest.mark.parametrize(
    ("name", "prefix", "holds"),
    [
        ("Llama-Acme-8B", "Llama", True),
        ("acme/Llama-Acme-8B", "Llama", True),
        ("llama-3-acme", "Llama 3", True),
        ("Llama-Acme-8B", "Llama 3", False),
        ("Acme-Llama", "Llama", False),
        ("K-EXAONE-7B", "EXAONE", False),
        ("HyperCLOVA-X-Acme", "HyperCLOVA X", True),
    ],
)
def test_a_name_begins_with_the_word_whatever_the_separators(name, prefix, holds):
    assert begins_with(name, prefix) is holds


def test_one_name_can_satisfy_llama_3_and_llama_but_not_llama_and_exaone():
    assert compatible("Llama 3", "Llama")
    assert not compatible("Llama", "EXAONE")
