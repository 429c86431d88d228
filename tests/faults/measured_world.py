"""A world of faults in which traces are counted, disks fail and clocks step."""

import contextlib
import http.client
import os
import sqlite3
import time
import uuid
from contextlib import closing

import psutil
from tests.faults.shim import Shim
from tests.faults.world import FaultWorld

from freehold.errors import PortInUseError

_PORT_WITHIN_S = 60.0
_COUNTED = ("freehold_traces_dropped", "freehold_traces_lost")


class MeasuredWorld(FaultWorld):
    """See above. Needs the shim (`shim.why_not`)."""

    def __init__(self, folder, upstream, *, seed, **settings):
        super().__init__(folder, upstream, seed=seed, **settings)
        self.upstream = upstream
        self.shim = Shim(folder, [self.store_file, self.folder / "spool"])
        self._counted_before = 0

    def __enter__(self):
        with self._preloaded():
            return super().__enter__()

    def __exit__(self, *error):
        self.shim.works()
        self.shim.step_clock(0)
        super().__exit__(*error)

    def start_again(self):
        """Start the gateway in place of one that ended; its workers may still finish their answers on its port."""
        end = time.monotonic() + _PORT_WITHIN_S
        while True:
            try:
                with self._preloaded():
                    return super().start_again()
            except PortInUseError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.1)

    def kill_main(self):
        # The next one counts from 0.
        self._counted_before = self.counted()
        super().kill_main()

    def kill_all(self):
        """All processes at once, as an out-of-memory killer or a power switch for one service does."""
        self._counted_before = self.counted()
        processes = [self.main(), *self.main().children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.running.process.wait()
        self.start_again()

    @contextlib.contextmanager
    def _preloaded(self):
        before = {name: os.environ.get(name) for name in self.shim.environment}
        os.environ.update(self.shim.environment)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def suspend(self, mark):
        """Stop one process; returns it."""
        found = self.processes(mark)
        process = self.random.choice(found)
        process.suspend()
        return process

    def is_whole(self):
        """Whether all processes are there, and none is stopped."""
        found = [self.processes("recorder"), self.processes("worker")]
        with contextlib.suppress(psutil.Error):
            return [len(one) for one in found] == [1, self.config.workers] and not any(
                process.status() == psutil.STATUS_STOPPED for process in (self.main(), *found[0], *found[1])
            )
        return False

    # Counts

    def metrics(self, within_s=20.0):
        """The page of ``/metrics``."""
        end = time.monotonic() + within_s
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.config.port, timeout=5)
            try:
                connection.request("GET", "/metrics")
                answer = connection.getresponse()
                text = answer.read().decode()
                if answer.status == 200:
                    return text
            except (OSError, http.client.HTTPException):
                if time.monotonic() > end:
                    raise
            finally:
                connection.close()
            time.sleep(0.1)

    def counted(self):
        """Traces that ``/metrics`` says were dropped or lost, since the world began."""
        lines = self.metrics().splitlines()
        return self._counted_before + sum(
            int(float(line.rpartition(" ")[2])) for line in lines if line.startswith(_COUNTED)
        )

    def stored(self):
        """The ids of all traces in the store; None while it cannot be read."""
        if not self.store_file.exists():
            return None
        try:
            with closing(
                sqlite3.connect(f"file:{self.store_file}?mode=ro", uri=True, timeout=1)
            ) as connection:
                return {
                    str(uuid.UUID(bytes=row[0])) for row in connection.execute("SELECT id FROM trace_ids")
                }
        except sqlite3.Error:
            return None
