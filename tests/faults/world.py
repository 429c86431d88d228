"""A gateway among faults: real processes before a fake upstream, faults drawn from one seed, and clients.

A `FaultWorld` owns a folder, a store in it and a gateway before an upstream. `inject` does one fault by its name and
leaves the world as the fault leaves it; `heal` undoes what a person would have to undo (a lock, a stopped process, a
store that is gone), so that the next fault finds something to break. What a fault is, stands in `FAULTS`: a test with
faults of its own adds functions of a world to a table of its own and gives it to the world.
"""

import contextlib
import http.client
import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import psutil

from freehold.gateway import serve
from freehold.gateway.config import GatewayConfig
from freehold.processes import claim_port
from freehold.store import open_store
from freehold.types.config_file import parse
from freehold.types.endpoint import ANY_SERVED, Endpoint
from freehold.types.route import Limits
from freehold.workflows.shift import keys

QUESTION = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
CHAT = "/v1/chat/completions"

_HOLDER = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN EXCLUSIVE" if sys.argv[2] == "exclusive" else "BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


class FaultWorld:
    """See above. `settings` are those of the `GatewayConfig`."""

    def __init__(self, folder, upstream, *, seed, faults=None, **settings):
        self.folder = Path(folder)
        self.store_file = self.folder / "freehold.sqlite3"
        self.random = random.Random(seed)
        self.faults = FAULTS if faults is None else faults
        self.injected = Counter()
        self._holder = None
        endpoint = Endpoint(name="incumbent", engine="remote", base_url=upstream.base_url, models=ANY_SERVED)
        values = {
            "endpoints": (endpoint,),
            "port": claim_port(),
            "store_url": f"sqlite:///{self.store_file}",
            "keys_file": str(self.folder / "keys.json"),
            "capture": "raw",
            "drain_s": 1.0,
            **settings,
        }
        self.config = GatewayConfig(**values)
        self.running = None

    def __enter__(self):
        self.running = serve.start(self.config, log=self.folder / "gateway.log")
        return self

    def __exit__(self, *_):
        self.unlock()
        self.resume_all()
        with contextlib.suppress(psutil.Error):
            self.running.stop()

    # Processes

    def main(self):
        return psutil.Process(self.running.process.pid)

    def processes(self, mark):
        """The gateway's child processes that run a module named so: ``worker``, ``recorder``."""
        found = []
        with contextlib.suppress(psutil.Error):
            for process in self.main().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if any(
                        f"freehold.gateway.{name}" in process.cmdline() for name in (mark, f"capture.{mark}")
                    ):
                        found.append(process)
        return found

    def kill(self, mark):
        found = self.processes(mark)
        if found:
            self.random.choice(found).kill()

    def kill_main(self):
        """As `freehold up` sees it: the main process is gone, and one is started in its place."""
        self.running.process.kill()
        self.running.process.wait()
        self.start_again()

    def start_again(self):
        self.running.stop()
        self.running = serve.start(self.config, log=self.folder / "gateway.log", again=True)

    def resume_all(self):
        for process in (*self.processes("recorder"), *self.processes("worker")):
            with contextlib.suppress(psutil.Error):
                process.resume()

    # The store

    def lock(self, how="immediate"):
        if self._holder is None and self.store_file.exists():
            command = [sys.executable, "-c", _HOLDER, str(self.store_file), how]
            self._holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._holder.stdout.readline()

    def unlock(self):
        if self._holder is not None:
            self._holder.stdin.close()
            self._holder.stdout.close()
            self._holder.wait(10)
            self._holder = None

    def copy_store(self, name, source=None):
        """Keep the store (or `folder`/`source`) as it is now under `folder`/`name`, as a backup does."""
        file = self.store_file if source is None else self.folder / source
        source, target = sqlite3.connect(file), sqlite3.connect(self.folder / name)
        with contextlib.closing(source), contextlib.closing(target):
            source.backup(target)

    def drop_store(self):
        for file in self.folder.glob(f"{self.store_file.name}*"):
            file.unlink()

    def move_store(self, name):
        for file in self.folder.glob(f"{self.store_file.name}*"):
            file.rename(self.folder / file.name.replace(self.store_file.name, name))

    def put_store(self, name):
        """Replace the store by a copy, as a person does who restores one."""
        self.drop_store()
        shutil.copy(self.folder / name, self.store_file)

    def open_store(self):
        return open_store(self.config.store_url)

    def add_key(self, name="app", **changes):
        """A new key's secret."""
        with self.open_store() as store:
            made = keys.add(
                store,
                name,
                limits=Limits(),
                who="test",
                at=datetime.now(UTC),
                project=SimpleNamespace(
                    keys_file=Path(self.config.keys_file), config=parse('[app]\nname = "a"')
                ),
                **changes,
            )
        return made.secret

    # Clients

    def ask(self, *, key=None, path=CHAT, method="POST", timeout=5.0):
        """The status of one request, or the name of what went wrong."""
        connection = http.client.HTTPConnection("127.0.0.1", self.config.port, timeout=timeout)
        headers = {"content-type": "application/json"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        try:
            connection.request(method, path, QUESTION if method == "POST" else None, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()

    def ask_for(self, seconds, **how):
        """Ask again and again; how often each status came."""
        seen, end = Counter(), time.monotonic() + seconds
        while time.monotonic() < end:
            status = self.ask(**how)
            seen[status] += 1
            if not isinstance(status, int):
                time.sleep(0.02)
        return seen

    def answers(self, status, *, within_s=30.0, **how):
        """Wait until a request is answered so."""
        end = time.monotonic() + within_s
        while (last := self.ask(**how)) != status:
            if time.monotonic() > end:
                raise AssertionError(f"not {status} but {last} after {within_s:g} s")
            time.sleep(0.05)

    # Faults

    def inject(self, name=None):
        """Do one fault, drawn where none is named; returns its name."""
        name = name or self.random.choice(sorted(self.faults))
        self.injected[name] += 1
        self.faults[name](self)
        return name

    def heal(self, copy):
        """Bring the world back to work with the store kept as `copy`."""
        self.unlock()
        self.resume_all()
        if not self.store_file.exists() or not self.store_file.stat().st_size or self._is_foreign(copy):
            self.put_store(copy)
        self.store_file.chmod(0o600)
        if not self.running.is_running():
            self.start_again()

    def _is_foreign(self, copy):
        return self._facts(self.store_file) != self._facts(self.folder / copy)

    def _facts(self, file):
        try:
            with contextlib.closing(sqlite3.connect(file)) as connection:
                facts = connection.execute("SELECT value FROM store_facts WHERE name = 'id'").fetchall()
                count = connection.execute("SELECT value FROM counters WHERE name = 'keys'").fetchall()
            return facts, count
        except sqlite3.Error:
            return None


def _stuck_recorder(world):
    for process in world.processes("recorder"):
        process.suspend()
    world.kill("worker")


def _locked(world):
    world.lock()
    world.kill("recorder")
    world.kill("worker")


def _gone(world):
    world.drop_store()
    world.kill("recorder")


def _moved(world):
    world.store_file.rename(world.folder / "moved-away")
    world.kill("recorder")
    world.kill("worker")


def _truncated(world):
    with world.store_file.open("r+b") as file:
        file.truncate(0)
    world.kill("recorder")


def _older(world):
    world.put_store("older")


def _read_only(world):
    world.store_file.chmod(0o400)
    world.kill("recorder")
    world.kill("worker")


FAULTS = {
    "kill a worker": lambda world: world.kill("worker"),
    "kill the recorder": lambda world: world.kill("recorder"),
    "kill the main process": FaultWorld.kill_main,
    "renew the workers": lambda world: world.main().send_signal(signal.SIGUSR2),
    "recorder stuck, worker killed": _stuck_recorder,
    "store locked, both killed": _locked,
    "store removed": _gone,
    "store moved away": _moved,
    "store truncated to 0": _truncated,
    "store replaced by an older copy": _older,
    "store read-only": _read_only,
}
