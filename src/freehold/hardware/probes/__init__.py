"""What this machine is. Each probe answers for one kind of device and says how it knows."""

from freehold.hardware.probes.machine import probe_machine

__all__ = ["probe_machine"]
