from datetime import date

import pytest
from tests.workflows.tell.facts import facts

from freehold.types.evidence import EvidenceAge


@pytest.mark.parametrize(
    ("retires", "days"), [(None, None), (date(2026, 12, 20), 21), (date(2026, 11, 26), -3)]
)
def test_days_are_counted_to_the_end_of_the_incumbent(retires, days):
    assert facts(retires=retires).days_left == days


def test_stale_evidence_is_what_has_a_reason():
    ages = [
        EvidenceAge(
            gate=gate,
            record_id="c",
            made_at=None,
            days=None,
            max_age_days=None,
            stale=why,
            renew="freehold migrate",
        )
        for gate, why in (("quality", ("x",)), ("license", ()))
    ]
    assert [one.gate for one in facts(evidence=tuple(ages)).stale] == ["quality"]
