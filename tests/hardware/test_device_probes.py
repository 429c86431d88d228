import sys
from types import SimpleNamespace

import pytest

from freehold.hardware.probes import amd, apple, bandwidth, nvidia

GIB = 1 << 30


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
    (device,) = nvidia.probe()
    assert device.name == name
    assert device.free_memory_bytes <= device.memory_bytes
    assert "NVML" in device.how


def test_nvidia_without_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvidia.probe() == ()


def test_amd_by_the_kernel_driver(tmp_path):
    device = tmp_path / "sys/class/drm/card0/device"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x1002\n")
    (device / "mem_info_vram_total").write_text(f"{24 * GIB}\n")
    (device / "mem_info_vram_used").write_text(f"{GIB}\n")
    other = tmp_path / "sys/class/drm/card1/device"
    other.mkdir(parents=True)
    (other / "vendor").write_text("0x10de\n")
    (found,) = amd.probe(tmp_path)
    assert (found.memory_bytes, found.free_memory_bytes) == (24 * GIB, 23 * GIB)


def test_apple_lends_a_share_or_what_was_set():
    values = {"hw.memsize": str(64 * GIB), "machdep.cpu.brand_string": "Apple M3 Max"}
    (found,) = apple.probe(lambda name: values.get(name, ""))
    assert found.memory_bytes == 48 * GIB
    values["iogpu.wired_limit_mb"] = "61440"
    (found,) = apple.probe(lambda name: values.get(name, ""))
    assert found.memory_bytes == 60 * GIB
    assert "wired_limit" in found.how


def test_bandwidth_is_measured():
    assert 5e8 < bandwidth.measure(1) < 5e12
