"""Accelerators, the instances that carry them and what they rent for."""

import datetime

import pytest

from freehold.catalog import accelerators
from freehold.errors import UsageError
from freehold.visible import GIB, MIB


def test_every_row_has_source_date_and_a_name_of_its_own():
    rows = accelerators.rows()
    names = [accelerators.plain(name) for row in rows for name in {row.name.lower(), *row.aliases}]
    assert len(names) == len(set(names))
    assert all(row.source and row.checked and row.bandwidth_gb_per_second > 0 for row in rows)


DRIVERS = {
    # modal-labs/modal-client pull request 2797 (2025-01), all of nvidia-smi
    "H100 SXM": 81_559, "A100 SXM 80GB": 81_920, "A100 SXM 40GB": 40_960, "A10G": 23_028, "L40S": 46_068,
    "L4": 23_034, "T4": 15_360,
    # issues that print nvidia-smi: RLinf/RLinf 255, noonghunna/club-3090 1261 and 1128, NVIDIA/TensorRT-LLM 10278
    "RTX 4090": 24_564, "RTX 5090": 32_607, "RTX 3090": 24_576, "B200": 183_359,
    # print-outs of nvidia-smi in public files that agree, read 2026-11-27
    "H100 PCIe": 81_559, "A100 PCIe 80GB": 81_920, "A100 PCIe 40GB": 40_960, "H200": 143_771, "B300": 275_040,
    "GB200": 189_471, "GB300": 284_208, "A30": 24_576, "A40": 46_068, "V100 SXM": 32_768, "RTX A6000": 49_140,
    "RTX 6000 Ada": 49_140, "RTX 3060": 12_288, "RTX 4060": 8_188, "RTX 4060 Ti": 16_380, "RTX 4070 Ti": 12_282,
    "RTX 4080": 16_376, "RTX 5080": 16_303, "RTX PRO 6000 Blackwell": 97_887,
    "RTX PRO 6000 Blackwell Server Edition": 97_887,
    # rocm-smi, amdgpu, Intel's XPU manager, CUDA's total capacity of unified memory
    "MI300X": 196_592, "RX 7900 XTX": 24_560, "Arc Pro B60": 24_480, "GB10": 122_480,
}  # fmt: skip
"""Totals in MiB as drivers report them, by the name that people use."""


def test_no_accelerator_has_more_than_its_driver_reports():
    above = {
        name: row.memory_bytes / MIB
        for name, total in DRIVERS.items()
        if (row := accelerators.get(name)).memory_bytes is None or row.memory_bytes / MIB > 1.005 * total
    }
    assert not above
    below = {
        name: accelerators.get(name).memory_bytes / MIB
        for name, total in DRIVERS.items()
        if accelerators.get(name).memory_bytes / MIB < 0.995 * total
    }
    assert not below


def test_every_accelerator_is_read_from_a_driver_or_discounted_and_says_so():
    read = {accelerators.get(name).name for name in DRIVERS}
    for row in accelerators.rows():
        if row.memory_bytes is None:
            assert row.unified, row.name
            continue
        device = accelerators.accelerator(row)
        if row.driver_mib is not None:
            assert row.driver_source and row.driver_source in device.how
            assert row.name in read, f"{row.name} is not in the list of this test"
        else:
            assert device.memory_bytes == pytest.approx(0.93 * row.sold_gib * GIB)
            assert f"no driver's total was read: 7% less than the {row.sold_gib:g} GiB" in device.how


@pytest.mark.parametrize(("name", "taken"), [("H100", "H100 SXM 80GB"), ("A100 40GB", "A100 SXM 40GB")])
def test_one_name_for_several_products_is_the_common_one_with_a_note(name, taken):
    choice = accelerators.pick(name)
    assert choice.row.name == taken
    assert choice.note.startswith(f"{name} is taken for {taken}, the common one of ")
    assert "PCIe" in choice.note


def test_unified_memory_must_be_said():
    row = next(row for row in accelerators.rows() if row.memory_bytes is None)
    with pytest.raises(UsageError, match="whose size is not known"):
        accelerators.accelerator(row)
    assert accelerators.accelerator(row, 64).memory_bytes == 64 * GIB


def test_every_instance_has_an_accelerator_of_the_catalog_a_source_and_a_name_of_its_own():
    names = [one.name.lower() for one in accelerators.all_instances()]
    assert len(names) == len(set(names)) > 60
    for one in accelerators.all_instances():
        assert accelerators.get(one.accelerator).name == one.accelerator
        assert one.source
        assert one.checked.year >= 2026
        assert 1 <= one.count <= 8
        assert (one.vcpus is None) == (one.memory_gib is None)


@pytest.mark.parametrize(
    ("name", "accelerator", "count", "memory_gib"),
    [
        ("G5.12XLARGE", "A10 24GB", 4, 192),
        ("p5.48xlarge", "H100 SXM 80GB", 8, None),
        ("Standard_NC24ads_A100_v4", "A100 PCIe 80GB", 1, 220),
        ("nc24ads_a100_v4", "A100 PCIe 80GB", 1, 220),
    ],
)
def test_a_providers_name_is_found(name, accelerator, count, memory_gib):
    found = accelerators.instance(name)
    assert (found.accelerator, found.count, found.memory_gib) == (accelerator, count, memory_gib)


def test_every_row_is_a_range_with_source_and_date():
    for row in accelerators.rental_rows():
        low, high = row.usd_per_hour
        assert 0 < low <= high and row.source and row.as_of <= row.checked


def test_every_rented_accelerator_is_in_the_catalog():
    known = {row.name for row in accelerators.rows()}
    assert {name for row in accelerators.rental_rows() for name in row.accelerators} <= known


def test_the_range_spans_shops_that_rent_single_ones_and_names_the_large_clouds():
    found = accelerators.rental_price("H100 SXM 80GB")
    own = [row for row in accelerators.rental_rows() if "H100 SXM 80GB" in row.accelerators]
    small = [row for row in own if row.shop != "hyperscaler"]
    assert found.usd_per_hour.low == min(row.usd_per_hour[0] for row in small)
    assert found.usd_per_hour.high == max(row.usd_per_hour[1] for row in small)
    assert found.hyperscalers.low > found.usd_per_hour.high
    assert found.basis() == f"{len(small)} price lists, {found.oldest} to {found.newest}"


def test_a_price_is_old_after_half_a_year():
    found = accelerators.rental_price("L4 24GB")
    assert not found.is_old(found.newest + datetime.timedelta(days=accelerators.FRESH_DAYS))
    assert found.is_old(found.newest + datetime.timedelta(days=accelerators.FRESH_DAYS + 1))
