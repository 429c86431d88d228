from freehold.hardware.probes import probe_machine


def test_this_machine_says_how_it_knows(tmp_path):
    machine = probe_machine(tmp_path / "not" / "there")
    assert machine.cores >= 1
    assert 0 < machine.available_memory_bytes <= machine.memory_bytes
    assert machine.disk_free_bytes > 0
    assert {"cores", "memory", "available memory", "disk"} <= set(machine.how)
