import pytest

from freehold.catalog import accelerators, instances


def test_every_instance_has_an_accelerator_of_the_catalog_a_source_and_a_name_of_its_own():
    names = [one.name.lower() for one in instances.all_instances()]
    assert len(names) == len(set(names)) > 60
    for one in instances.all_instances():
        assert accelerators.get(one.accelerator).name == one.accelerator
        assert one.source
        assert one.checked.year >= 2026
        assert 1 <= one.count <= 8
        assert (one.vcpus is None) == (one.memory_gib is None)


@pytest.mark.parametrize(
    ("name", "accelerator", "count", "memory_gib"),
    [
        ("g5.xlarge", "A10 24GB", 1, 16),
        ("G5.12XLARGE", "A10 24GB", 4, 192),
        ("g6.xlarge", "L4 24GB", 1, 16),
        ("g6e.12xlarge", "L40S 48GB", 4, 384),
        ("p4d.24xlarge", "A100 SXM 40GB", 8, 1152),
        ("p5.48xlarge", "H100 SXM 80GB", 8, None),
        ("a2-highgpu-1g", "A100 SXM 40GB", 1, 85),
        ("a3-highgpu-8g", "H100 SXM 80GB", 8, 1872),
        ("g2-standard-4", "L4 24GB", 1, 16),
        ("Standard_NC24ads_A100_v4", "A100 PCIe 80GB", 1, 220),
        ("nc24ads_a100_v4", "A100 PCIe 80GB", 1, 220),
    ],
)
def test_a_providers_name_is_found(name, accelerator, count, memory_gib):
    found = instances.find(name)
    assert (found.accelerator, found.count, found.memory_gib) == (accelerator, count, memory_gib)


def test_what_is_not_known_has_a_neighbour_only_where_it_is_close():
    assert instances.find("g5.3xlarge") is None
    assert instances.nearest("g5.xlarg") == "g5.xlarge"
    assert instances.nearest("Standard_NC40ads_H100_v5") is None
