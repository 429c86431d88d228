"""What the words of names, places and profiles stand for."""

import pytest

from freehold.licensing.words import begins_with, business_tags, change_tags, compatible, domain_tags, inside


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


@pytest.mark.parametrize(
    ("place", "regions", "holds"),
    [
        ("DE", ("EU",), True),
        ("Germany", ("EU",), True),
        ("DE-BY", ("EU",), True),
        ("EU", ("EU",), True),
        ("GB", ("EU",), False),
        ("UK", ("GB",), True),
        ("global", ("EU",), True),
        ("South Korea", ("KR",), True),
        ("US-CA", ("EU",), False),
        ("CH", ("EU",), False),
    ],
)
def test_a_place_touches_a_region(place, regions, holds):
    assert inside(place, regions) is holds


def test_domains_changes_and_businesses_from_words():
    assert domain_tags("military") == {"military"}
    assert domain_tags("automated_decision_credit") == {"automated_decision"}
    assert domain_tags("critical_infrastructure_operation") == {"critical_infrastructure"}
    assert domain_tags("gardening") == domain_tags(None) == frozenset()
    assert change_tags("guardrails removed") == {"safeguards"}
    assert change_tags("safety evaluation added") == frozenset()
    assert business_tags("inference API for developers") == {"model_as_a_service"}
    assert business_tags("router for inference APIs") == {"router"}
    assert business_tags("shopping_assistant") == frozenset()
