import pytest

from freehold.errors import InputError
from freehold.settings import load
from freehold.types.machine import Accelerator, Machine
from freehold.workflows.fit.machine import find_machine, with_rates

GIB = 1 << 30


@pytest.fixture
def settings(tmp_path):
    return load({"FREEHOLD_HOME": str(tmp_path)})


def test_file(settings, tmp_path):
    path = tmp_path / "box.toml"
    path.write_text(
        'name = "box"\ncores = 16\nmemory_gib = 64\n[[accelerators]]\nname = "L4"\ncount = 2\n'
        '[[accelerators]]\nname = "Mystery 9000"\nmemory_gib = 12\nbandwidth_gb_per_second = 500\n'
    )
    machine = find_machine(str(path), settings)
    assert machine.memory_bytes == 64 * GIB
    assert [device.memory_bytes // GIB for device in machine.accelerators] == [22, 22, 12]
    assert machine.accelerators[2].bandwidth_bytes_per_second == 500e9


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('name = "b"\ncores = 0\nmemory_gib = 64', "cores is 0"),
        ('name = "b"\ncores = 1\nmemory_gib = -3', "memory_gib is -3"),
        ('name = "b"\ncores = 1\nmemory_gib = 1\nram = 3', "ram"),
        ('name = "b"\ncores = "many"\nmemory_gib = 1', "cores"),
        ('name = "b"\ncores = 1\nmemory_gib = nan', "memory_gib is nan"),
        ('name = "b"\ncores = 1\nmemory_gib = 1\nmemory_bandwidth_gb_per_second = -5', "bandwidth.* is -5"),
        ('name = "b"\ncores = 1\nmemory_gib = 1\ndisk_free_gib = -1', "disk_free_gib is -1"),
        ("name =", "machine file"),
        (
            'name = "b"\ncores = 1\nmemory_gib = 1\n[[accelerators]]\nname = "L4"\nkind = "gpu"',
            "kind 'gpu' is not",
        ),
    ],
)
def test_impossible_files_are_refused(settings, tmp_path, text, says):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        find_machine(str(path), settings)


def test_missing_file(settings):
    with pytest.raises(InputError, match="no such machine file"):
        find_machine("nowhere.toml", settings)


RECORDED = {
    "NVIDIA L4": "L4 24GB",
    "NVIDIA GeForce RTX 4090": "RTX 4090 24GB",
    "NVIDIA A100-SXM4-80GB": "A100 SXM 80GB",
    "NVIDIA A100-PCIE-40GB": "A100 PCIe 40GB",
    "NVIDIA H100 80GB HBM3": "H100 SXM 80GB",
    "NVIDIA H100 PCIe": "H100 PCIe 80GB",
    "Tesla T4": "T4 16GB",
    "AMD Instinct MI300X": "MI300X 192GB",
    "Apple M3 Max": "Apple M3 Max",
}
"""Names as drivers give them (NVML, amdgpu, sysctl), and the catalog's row."""


@pytest.mark.parametrize(("name", "row"), RECORDED.items())
def test_rates_are_found_by_the_name_a_driver_gives(name, row):
    device = Accelerator(kind="nvidia", name=name, memory_bytes=1 << 34, how="NVML")
    (found,) = with_rates(_with(device)).accelerators
    assert found.bandwidth_bytes_per_second > 1e11
    assert f"NVML; rates of {row} from the catalog, checked" in found.how
    assert found.memory_bytes == device.memory_bytes


def test_what_the_catalog_does_not_know_stays_unknown_and_says_so():
    odd = Accelerator(kind="nvidia", name="NVIDIA GeForce GTX 1060", memory_bytes=1 << 33, how="NVML")
    part = Accelerator(
        kind="nvidia", name="NVIDIA A100-SXM4-80GB MIG 1g.10gb", memory_bytes=10 << 30, how="NVML, MIG slice"
    )
    for device in with_rates(_with(odd, part)).accelerators:
        assert device.bandwidth_bytes_per_second is None
        assert "its rates are not known" in device.how


def test_the_common_choice_of_a_bare_name_in_a_file_is_noted(settings, tmp_path):
    path = tmp_path / "box.toml"
    path.write_text('name = "b"\ncores = 1\nmemory_gib = 64\n[[accelerators]]\nname = "H100"\n')
    machine = find_machine(str(path), settings)
    assert machine.accelerators[0].name == "H100 SXM 80GB"
    assert machine.how["note"].startswith("H100 is taken for H100 SXM 80GB")


def test_words_name_a_machine(settings):
    assert [device.name for device in find_machine("2x L4", settings).accelerators] == ["L4 24GB"] * 2


def _with(*devices):
    return Machine(name="m", cores=4, memory_bytes=1, available_memory_bytes=1, cpu="c", accelerators=devices)
