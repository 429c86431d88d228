from freehold.hardware.probes import bandwidth


def test_bandwidth_is_measured():
    assert 5e8 < bandwidth.measure(1) < 5e12
