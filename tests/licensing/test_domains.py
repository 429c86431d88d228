from freehold.licensing.domains import business_tags, change_tags, domain_tags


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
