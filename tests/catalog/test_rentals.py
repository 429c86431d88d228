import datetime

from freehold.catalog import accelerators, rentals

COMMON = ["L4", "A10", "T4", "L40S", "RTX 4090", "RTX 5090", "RTX PRO 6000 Blackwell", "A100 SXM", "A100 PCIe",
          "H100 SXM", "H100 PCIe", "H200 SXM", "B200 SXM", "RTX 3090", "RTX A6000"]  # fmt: skip


def test_every_row_is_a_range_with_source_and_date():
    for row in rentals.rows():
        low, high = row.usd_per_hour
        assert 0 < low <= high and row.source and row.as_of <= row.checked


def test_every_rented_accelerator_is_in_the_catalog():
    known = {row.name for row in accelerators.rows()}
    assert {name for row in rentals.rows() for name in row.accelerators} <= known


def test_common_accelerators_have_a_price():
    priced = {name for row in rentals.rows() if row.shop != "hyperscaler" for name in row.accelerators}
    for words in COMMON:
        assert any(name.startswith(words) for name in priced), words


def test_the_range_spans_shops_that_rent_single_ones_and_names_the_large_clouds():
    found = rentals.rental_price("H100 SXM 80GB")
    own = [row for row in rentals.rows() if "H100 SXM 80GB" in row.accelerators]
    small = [row for row in own if row.shop != "hyperscaler"]
    assert found.usd_per_hour.low == min(row.usd_per_hour[0] for row in small)
    assert found.usd_per_hour.high == max(row.usd_per_hour[1] for row in small)
    assert found.hyperscalers.low > found.usd_per_hour.high
    assert found.basis() == f"{len(small)} price lists, {found.oldest} to {found.newest}"


def test_a_price_is_old_after_half_a_year():
    found = rentals.rental_price("L4 24GB")
    assert not found.is_old(found.newest + datetime.timedelta(days=rentals.FRESH_DAYS))
    assert found.is_old(found.newest + datetime.timedelta(days=rentals.FRESH_DAYS + 1))


def test_an_accelerator_that_is_not_rented_has_no_price():
    assert rentals.rental_price("abacus") is None
