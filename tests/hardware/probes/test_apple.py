from freehold.hardware.probes import apple
from freehold.types.units import GIB


def test_apple_lends_a_share_or_what_was_set():
    values = {"hw.memsize": str(64 * GIB), "machdep.cpu.brand_string": "Apple M3 Max"}
    (found,) = apple.probe(lambda name: values.get(name, ""))
    assert found.memory_bytes == 48 * GIB
    values["iogpu.wired_limit_mb"] = "61440"
    (found,) = apple.probe(lambda name: values.get(name, ""))
    assert found.memory_bytes == 60 * GIB
    assert "wired_limit" in found.how
