from datetime import UTC, datetime
from decimal import Decimal

from freehold.types.harvest import Harvest, HarvestPart, HarvestTerms


def harvest(*parts):
    return Harvest(
        at=datetime(2026, 11, 26, tzinfo=UTC),
        model="m",
        base_url="http://x",
        folder="f",
        dataset_id="d",
        budget_usd=None,
        spent_usd=Decimal(0),
        repeats=3,
        terms=HarvestTerms(outcome="unclear", ruling_id="r", reasons=(), candidate="c"),
        parts=parts,
    )


def test_an_estimate_is_of_what_is_left_and_known():
    done = HarvestPart(name="held_out", requests=2, kept=2)
    left = HarvestPart(name="train", requests=2, kept=1, estimate_usd=Decimal("0.5"))
    assert harvest(done, left).estimate_usd == Decimal("0.5")
    assert harvest(done, HarvestPart(name="train", requests=1)).estimate_usd is None
    assert harvest(done, left).part("train") is left
