from decimal import Decimal

import pytest

from freehold.types.choosing import RequestCost
from freehold.workflows.journey.mixing.rest import Paid, mixture_cost, paid
from freehold.workflows.project import open_project

OWN = RequestCost(usd_per_1000=Decimal("0.1"), basis="measured_here", why="measured")
UNKNOWN = RequestCost(usd_per_1000=None, basis="unknown", why="no price")


@pytest.mark.parametrize(("asked", "usd"), [(1.0, "1.3"), (0.4, "1.24")])
def test_a_deferred_request_costs_both_in_a_cascade(asked, usd):
    found = mixture_cost([(asked, OWN)], 0.6, Paid(Decimal(2), Decimal(50_000), "stated"))
    assert found.mixture_usd == Decimal(usd) and found.saved_per_month == (2 - Decimal(usd)) * 50


def test_of_several_tiers_each_is_paid_for_what_it_was_asked():
    dear = RequestCost(usd_per_1000=Decimal("0.4"), basis="measured_here", why="measured")
    found = mixture_cost([(1.0, OWN), (0.5, dear)], 0.2, Paid(Decimal(2), None, "stated"))
    assert found.mixture_usd == Decimal("0.7") and found.saved_per_month is None


@pytest.mark.parametrize(
    ("theirs", "own"),
    [(Paid(None, Decimal(5), "why"), OWN), (Paid(Decimal(2), Decimal(5), "why"), UNKNOWN)],
)
def test_an_unknown_price_leaves_the_saving_unknown(theirs, own):
    found = mixture_cost([(1.0, own)], 0.6, theirs)
    assert (found.mixture_usd, found.saved_per_month) == (None, None)


def test_an_upper_model_is_paid_in_the_incumbents_place():
    theirs, upper = Paid(Decimal(2), None, "stated"), Paid(Decimal("0.5"), None, "as the file says")
    found = mixture_cost([(1.0, OWN)], 0.6, theirs, upper)
    assert found.mixture_usd == Decimal("0.4") and found.why[-1] == "upper model: as the file says"


def test_how_to_know_the_price_is_said(tmp_path):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "x"\n')
    found = paid(open_project(tmp_path / "freehold.toml"), "nobodys-model", None)
    assert found.usd_per_1000 is None and "the price of nobodys-model is not known" in found.why
