import sys
from types import SimpleNamespace

import pytest

from freehold.hardware.probes import nvidia
from freehold.types.units import GIB


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
