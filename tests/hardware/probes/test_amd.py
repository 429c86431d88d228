from freehold.hardware.probes import amd
from freehold.types.units import GIB


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
