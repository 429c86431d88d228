import pytest

from freehold.catalog import accelerators
from freehold.errors import UsageError
from freehold.types.units import GIB


def test_every_row_has_source_date_and_a_name_of_its_own():
    rows = accelerators.rows()
    names = [name.lower() for row in rows for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names))
    assert all(row.source and row.checked and row.bandwidth_gb_per_second > 0 for row in rows)


@pytest.mark.parametrize("row", accelerators.rows(), ids=lambda row: row.name)
def test_every_name_and_alias_finds_its_row(row):
    for name in (row.name, *row.aliases):
        assert accelerators.get(name.upper()) is row


def test_one_name_for_several_products_is_asked_back():
    with pytest.raises(UsageError, match="accelerator H100 is more than one product") as caught:
        accelerators.get("H100")
    assert "PCIe" in (caught.value.hint or "") and "SXM" in (caught.value.hint or "")


def test_a_misspelt_name_gets_the_nearest():
    known = accelerators.rows()[0].name
    with pytest.raises(UsageError, match="is not in the catalog") as caught:
        accelerators.get(known + "x")
    assert f"did you mean {known}?" in (caught.value.hint or "")


def test_a_device_has_the_rows_figures_in_bytes_and_says_where_from():
    row = accelerators.get("L4")
    device = accelerators.accelerator(row)
    assert device.memory_bytes == round((row.memory_gib or 0) * GIB)
    assert device.bandwidth_bytes_per_second == row.bandwidth_gb_per_second * 1e9
    assert row.source in device.how


def test_unified_memory_must_be_said():
    row = next(row for row in accelerators.rows() if row.memory_gib is None)
    with pytest.raises(UsageError, match="whose size is not known"):
        accelerators.accelerator(row)
    assert accelerators.accelerator(row, 64).memory_bytes == 64 * GIB
