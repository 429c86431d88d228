from freehold.catalog import accelerators, rentals


def test_every_row_is_a_range_with_source_and_date():
    for row in rentals.rows():
        low, high = row.usd_per_hour
        assert 0 < low <= high and row.source and row.checked and row.as_of


def test_every_rented_accelerator_is_in_the_catalog():
    known = {row.name for row in accelerators.rows()}
    assert {name for row in rentals.rows() for name in row.accelerators} <= known


def test_the_range_spans_all_price_lists():
    name = rentals.rows()[0].accelerators[0]
    found = rentals.usd_per_hour(name)
    assert found is not None
    own = [row for row in rentals.rows() if name in row.accelerators]
    assert found[0].low == min(row.usd_per_hour[0] for row in own)
    assert found[0].high == max(row.usd_per_hour[1] for row in own)
    assert found[1].startswith(f"{len(own)} price lists")


def test_an_accelerator_that_is_not_rented_has_no_price():
    assert rentals.usd_per_hour("abacus") is None
