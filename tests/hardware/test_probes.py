"""What a machine has is probed by files that stand in for the kernel's and the drivers'."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from freehold.hardware import probes
from freehold.hardware.probes import probe_machine
from freehold.visible import GIB


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_cgroup_v2_limits_win_over_the_machine(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/job/worker\n",
            "sys/fs/cgroup/job/worker/memory.max": "max\n",
            "sys/fs/cgroup/job/memory.max": f"{GIB // 2}\n",
            "sys/fs/cgroup/job/memory.current": f"{GIB // 4}\n",
            "sys/fs/cgroup/job/memory.stat": f"anon 5\ninactive_file {GIB // 8}\n",
            "sys/fs/cgroup/job/worker/cpu.max": "50000 100000\n",
        },
    )
    limit = probes.memory_limit(root)
    assert limit.value == GIB // 2
    assert "job/memory.max" in limit.how
    assert probes.memory_available(limit, root).value == GIB // 2 - GIB // 4 + GIB // 8
    assert probes.usable_cores(root).value == 1
    assert "quota" in probes.usable_cores(root).how or probes.usable_cores(root).how == "CPU affinity"


def test_cgroup_v1_limits_win_over_the_machine(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n",
            # the container sees its own group as the mount's root
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB // 4}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
    )
    limit = probes.memory_limit(root)
    assert limit.value == GIB // 4
    assert probes.memory_available(limit, root).value == GIB // 4 - 1000
    assert probes.usable_cores(root).how == "CPU affinity"


def test_instruction_sets_and_name_come_from_cpuinfo(tmp_path):
    root = write(
        tmp_path,
        {"proc/cpuinfo": "model name\t: Some CPU\nflags\t\t: fpu avx avx2 avx512f amx_tile amx_int8\n"},
    )
    assert probes.cpu_isa(root) == ("AVX", "AVX2", "AVX-512", "AMX", "AMX-INT8")
    assert probes.cpu_name(root) == "Some CPU"


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        # The group's own count, not the one of the group around it.
        (
            {
                "proc/self/cgroup": "0::/job/worker\n",
                "sys/fs/cgroup/job/worker/memory.events": "low 0\noom 4\noom_kill 3\n",
                "sys/fs/cgroup/memory.events": "oom_kill 9\n",
            },
            3,
        ),
        # A container sees its own group as the mount's root, whatever path of the host it is given.
        (
            {
                "proc/self/cgroup": "0::/docker/abc\n",
                "sys/fs/cgroup/memory.events": "oom_kill 2\noom_group_kill 0\n",
            },
            2,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.events": "oom_kill 0\n"}, 0),
        # The root group of a host counts nothing, nor does a system without control groups.
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.stat": ""}, None),
        ({}, None),
    ],
)
def test_kills_for_memory_are_those_of_the_own_group(tmp_path, files, kills):
    assert probes.oom_kills(write(tmp_path, files)) == kills


@pytest.mark.parametrize(
    ("before", "now", "killed"),
    [(2, 3, True), (2, 2, False), (None, 1, False), (1, None, False), (None, None, False)],
)
def test_a_kill_is_one_that_was_counted_since(monkeypatch, before, now, killed):
    monkeypatch.setattr(probes, "oom_kills", lambda: now)
    assert probes.oom_killed_since(before) is killed


def test_amd_by_the_kernel_driver(tmp_path):
    device = tmp_path / "sys/class/drm/card0/device"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x1002\n")
    (device / "mem_info_vram_total").write_text(f"{24 * GIB}\n")
    (device / "mem_info_vram_used").write_text(f"{GIB}\n")
    other = tmp_path / "sys/class/drm/card1/device"
    other.mkdir(parents=True)
    (other / "vendor").write_text("0x10de\n")
    (found,) = probes.probe_amd(tmp_path)
    assert (found.memory_bytes, found.free_memory_bytes) == (24 * GIB, 23 * GIB)


def test_apple_lends_a_share_or_what_was_set():
    values = {"hw.memsize": str(64 * GIB), "machdep.cpu.brand_string": "Apple M3 Max"}
    (found,) = probes.probe_apple(lambda name: values.get(name, ""))
    assert found.memory_bytes == 48 * GIB
    values["iogpu.wired_limit_mb"] = "61440"
    (found,) = probes.probe_apple(lambda name: values.get(name, ""))
    assert found.memory_bytes == 60 * GIB
    assert "wired_limit" in found.how


class NvmlError(Exception):
    pass


def fake_nvml(mig):
    def memory(handle):
        return SimpleNamespace(total=handle["total"], free=handle["free"])

    card = {"name": b"NVIDIA L4", "total": 24 * GIB, "free": 20 * GIB}
    slices = [{"name": "MIG 1g.5gb", "total": 5 * GIB, "free": 5 * GIB}]

    def mig_mode(handle):
        if mig is None:
            raise NvmlError("not supported")
        return (int(mig), int(mig))

    def slice_at(handle, index):
        if index >= len(slices):
            raise NvmlError("empty")
        return slices[index]

    return SimpleNamespace(
        NVMLError=NvmlError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: card,
        nvmlDeviceGetMemoryInfo=memory,
        nvmlDeviceGetName=lambda handle: handle["name"],
        nvmlDeviceGetMigMode=mig_mode,
        nvmlDeviceGetMaxMigDeviceCount=lambda handle: 7,
        nvmlDeviceGetMigDeviceHandleByIndex=slice_at,
    )


@pytest.mark.parametrize(("mig", "name"), [(None, "NVIDIA L4"), (False, "NVIDIA L4"), (True, "MIG 1g.5gb")])
def test_nvidia_whole_cards_and_slices(monkeypatch, mig, name):
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(mig))
    (device,) = probes.probe_nvidia()
    assert device.name == name
    assert device.free_memory_bytes <= device.memory_bytes
    assert "NVML" in device.how


def test_this_machine_says_how_it_knows(tmp_path):
    machine = probe_machine(tmp_path / "not" / "there")
    assert machine.cores >= 1
    assert 0 < machine.available_memory_bytes <= machine.memory_bytes
    assert machine.disk_free_bytes > 0
    assert {"cores", "memory", "available memory", "disk"} <= set(machine.how)
