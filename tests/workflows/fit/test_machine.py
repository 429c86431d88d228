"""A machine is read from a file or from words."""

import pytest

from freehold.errors import UsageError
from freehold.workflows.fit.machine import find_machine, machine_of_words

GIB = 1 << 30


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
        ('name = "b"\ncores = 1\nmemory_gib = 1\nram = 3', "ram"),
        ('name = "b"\ncores = 1\nmemory_gib = nan', "memory_gib is nan"),
        ("name =", "machine file"),
        (
            'name = "b"\ncores = 1\nmemory_gib = 1\n[[accelerators]]\nname = "L4"\nkind = "gpu"',
            "kind: Invalid enum value 'gpu'",
        ),
    ],
)
def test_impossible_files_are_refused(settings, tmp_path, text, says):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=says):
        find_machine(str(path), settings)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("2x L4", ["L4 24GB"] * 2),
        ("8xL4", ["L4 24GB"] * 8),
        ("L4 x8", ["L4 24GB"] * 8),
        ("rtx4090", ["RTX 4090 24GB"]),
        ("2x NVIDIA GeForce RTX 4090", ["RTX 4090 24GB"] * 2),
        ("H100 SXM + 2x Tesla T4", ["H100 SXM 80GB", "T4 16GB", "T4 16GB"]),
        ("g5.12xlarge", ["A10 24GB"] * 4),
        ("Standard_NC24ads_A100_v4", ["A100 PCIe 80GB"]),
        ("a100-sxm4-80gb", ["A100 SXM 80GB"]),
        ("Ryzen AI Max+ 395 128GB", ["Ryzen AI Max+ 395"]),
        ("64GB", []),
    ],
)
def test_words(words, names):
    machine = machine_of_words(words)
    assert [device.name for device in machine.accelerators] == names
    assert all("catalog, checked" in device.how for device in machine.accelerators)
    assert "note" not in machine.how


@pytest.mark.parametrize(
    ("words", "gib"),
    [
        ("Apple M3 Max 64GB", 48),
        ("Apple M4 32GB", 21.33),
        ("Ryzen AI Max+ 395 128GB", 64),
        ("DGX Spark 128GB", 119.6),
    ],
)
def test_of_unified_memory_the_device_gets_what_its_system_lends(words, gib):
    (device,) = machine_of_words(words).accelerators
    assert device.memory_bytes / GIB == pytest.approx(gib, abs=0.05)


def test_an_instance_type_has_cores_and_memory_where_they_were_read():
    known, unread = machine_of_words("g5.xlarge"), machine_of_words("p5.48xlarge")
    assert (known.cores, known.memory_bytes) == (4, 16 * GIB)
    assert "AWS's g5.xlarge, checked 2026-11-27" in known.how["all"]
    assert unread.memory_bytes == 0
    assert "its cores and memory were not read" in unread.how["all"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("RTX 6000", "more than one product"),
        ("L44", "not in the catalog"),
        ("100x L4", "100 accelerators, expected 1 to 72"),
        ("2x L4 x2", "not understood"),
        ("2x g5.xlarge", "g5.xlarge is a whole machine"),
        ("g5.3xlarge", "instance type g5.3xlarge is not in the catalog"),
        ("RTX 4090 48GB", "RTX 4090 24GB has 24.0 GiB"),
        ("2x DGX Spark", "chip of a whole machine"),
        ("Apple M3 Max 64GB + RTX 4090", "takes no other accelerators"),
        ("Apple M3 Max", "shares the machine's memory"),
        ("Apple M4 64GB", "64, expected 1 to 32"),
        ("0GB", "expected 0.05"),
        (" ", "no machine is named"),
    ],
)
def test_what_is_not_understood_or_cannot_be_is_refused(words, says):
    with pytest.raises(UsageError, match=says):
        machine_of_words(words)
