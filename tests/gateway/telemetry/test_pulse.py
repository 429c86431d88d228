import time

from freehold.gateway.telemetry import pulse


def test_a_pulse_is_seen_and_grows_old(tmp_path, monkeypatch):
    assert pulse.silent_s(tmp_path) is None and not pulse.is_alive(tmp_path)
    beating = pulse.Pulse(tmp_path)
    assert not pulse.is_alive(tmp_path), "it has not beaten yet"
    beating.beat()
    assert pulse.is_alive(tmp_path) and pulse.silent_s(tmp_path) < pulse.SILENT_S
    later = time.monotonic() + pulse.SILENT_S + 1
    monkeypatch.setattr(pulse.time, "monotonic", lambda: later)
    assert not pulse.is_alive(tmp_path) and pulse.silent_s(tmp_path) > pulse.SILENT_S
    beating.close()
