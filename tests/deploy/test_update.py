"""An update as Kubernetes makes it, with the real processes that the chart would run: no request, no stream is lost.

What stands in for the cluster: a service whose list of pods changes a second after a pod was told to go, and what
kubelet does (readiness asked, preStop run to its end, SIGTERM, SIGKILL after the grace period).
"""

import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import openai
import pytest
from tests.deploy.chart import LEAST, helm, pods, rendered
from tests.gateway.loopback import ANSWER, FakeUpstream, eventually, plain, stream, stream_of

from freehold.processes import claim_port
from freehold.store import open_store

pytestmark = [helm, pytest.mark.process, pytest.mark.timeout(580)]
# The list of pods that senders know is this late.
LATE_S = 1.0
WORDS = [f"word{number} " for number in range(20)]
STARTS_WITHIN_S = 180


class PodProcess:
    """What kubelet starts for a pod of the gateway, and how it ends one."""

    def __init__(self, spec, folder, config, database):
        (container,) = spec["containers"]
        self.port, self.folder = claim_port(), folder
        self.grace_s = spec["terminationGracePeriodSeconds"]
        self.pre_stop = container["lifecycle"]["preStop"]["exec"]["command"]
        self.ready_path = container["readinessProbe"]["httpGet"]["path"]
        state = folder / "state"
        for each in (state, folder / "home"):
            each.mkdir(parents=True)
        # Short, as a pod's /tmp: the path of a Unix socket has 108 bytes.
        self.scratch = tempfile.mkdtemp(prefix="pod-", dir="/tmp")
        own = {"--host": "127.0.0.1", "--port": str(self.port), "--config": str(config)}
        words = [self._adapted(word, own) for word in container["command"][1:]]
        environment = {
            **os.environ, "FREEHOLD_STATE": str(state), "FREEHOLD_HOME": str(folder / "home"),
            "FREEHOLD_DATABASE_URL": database, "TMPDIR": self.scratch,
        }  # fmt: skip
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "freehold", *words],
            cwd=folder, env=environment, stdout=self.log, stderr=self.log, start_new_session=True,
        )  # fmt: skip

    @staticmethod
    def _adapted(word, own):
        """A word of the pod's command on this machine: its own address, and its ConfigMap's place."""
        name = word.partition("=")[0]
        return f"{name}={own[name]}" if name in own else word

    def readiness(self):
        """The status of its readiness probe, and why; 0 where it cannot be reached."""
        try:
            address = f"http://127.0.0.1:{self.port}{self.ready_path}"
            with urllib.request.urlopen(address, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except OSError as error:
            return 0, str(error)

    def is_ready(self):
        return self.readiness()[0] == 200

    def wait_until_ready(self):
        deadline = time.monotonic() + STARTS_WITHIN_S
        while (found := self.readiness())[0] != 200:
            said = (self.folder / "log").read_text()
            assert self.process.poll() is None, said
            assert time.monotonic() < deadline, (found, said)
            time.sleep(0.2)

    def end(self):
        """As kubelet does it; how long it took, and with what it ended."""
        began = time.monotonic()
        subprocess.run(self.pre_stop, check=True, timeout=self.grace_s)
        assert self.is_ready(), "it answers until it is told to stop"
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(self.grace_s - (time.monotonic() - began))
        return time.monotonic() - began, code

    def clear(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.scratch, ignore_errors=True)


class ServiceAddress:
    """The ports that requests are sent to; who has gone is sent to for `LATE_S` more."""

    def __init__(self):
        self.ports = []

    def remove_later(self, port):
        threading.Timer(LATE_S, lambda: self.ports.remove(port)).start()


class Clients:
    """Threads that ask without a rest, and what became of it."""

    def __init__(self, service):
        self.service = service
        self.asked, self.failed = 0, []
        self._stop, self._lock = threading.Event(), threading.Lock()
        kinds = [self._stream, self._stream, self._stream, self._plain, self._sdk]
        self.threads = [threading.Thread(target=self._run, args=(kind,)) for kind in kinds]
        for thread in self.threads:
            thread.start()

    def _run(self, kind):
        draw = random.Random(kind.__name__)
        while not self._stop.is_set():
            port = draw.choice(self.service.ports)
            try:
                kind(port)
                problem = None
            except (OSError, http.client.HTTPException, AssertionError, openai.OpenAIError) as error:
                problem = f"{kind.__name__} at {port}: {error!r}"
            with self._lock:
                self.asked += 1
                if problem is not None:
                    self.failed.append(problem)

    @staticmethod
    def _post(port, body):
        """On a new connection, as most senders in a cluster."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            data = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}], **body})
            connection.request("POST", "/v1/chat/completions", data, {"content-type": "application/json"})
            answer = connection.getresponse()
            read = answer.read()
            assert answer.status == 200, (answer.status, read[:200])
            return read
        finally:
            connection.close()

    def _stream(self, port):
        read = self._post(port, {"stream": True})
        assert read.endswith(b"data: [DONE]\n\n") and read.count(b"word") == len(WORDS), read[-200:]

    def _plain(self, port):
        assert json.loads(self._post(port, {}))["choices"]

    def _sdk(self, port):
        """A client that keeps its connection for some requests."""
        with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="x", max_retries=0) as client:
            for _ in range(3):
                client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "x"}])

    def stop(self):
        self._stop.set()
        for thread in self.threads:
            thread.join(90)
            assert not thread.is_alive()


@pytest.fixture
def cluster(tmp_path):
    """Starts pods of the chart behind a service; they are gone at the end."""
    upstream = FakeUpstream()
    upstream.answer = lambda seen: (
        stream(stream_of(*WORDS, usage=True), pause=0.15)
        if seen.body and seen.json.get("stream")
        else plain(ANSWER, delay=0.05)
    )
    config = tmp_path / "freehold.toml"
    config.write_text(
        f'[app]\nname = "shop"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "{upstream.base_url}/v1"\n'
        '[capture]\nmode = "raw"\n'
    )
    database = f"sqlite:///{tmp_path / 'shared.sqlite3'}"
    (spec,) = pods(rendered(LEAST)).values()
    started = []

    def start():
        pod = PodProcess(spec, tmp_path / f"pod-{len(started)}", config, database)
        started.append(pod)
        return pod

    yield start, database
    for pod in started:
        pod.clear()
    upstream.close()


def stored(database):
    with open_store(database) as store:
        return store.count_traces()


def test_an_update_drops_no_request_and_no_stream(cluster):
    start, database = cluster
    service = ServiceAddress()
    old = [start(), start()]
    for pod in old:
        pod.wait_until_ready()
        service.ports.append(pod.port)
    clients = Clients(service)
    try:
        eventually(lambda: clients.asked > 10, timeout_s=60)
        for pod in old:  # maxSurge: 1, maxUnavailable: 0
            new = start()
            new.wait_until_ready()
            service.ports.append(new.port)
            service.remove_later(pod.port)
            took_s, code = pod.end()
            assert code == 0 and took_s < pod.grace_s, (took_s, code)
            assert not pod.is_ready()
            # Its volume goes with it: what it answered must be in the store by now.
            assert not [path for path in Path(pod.folder / "state").rglob("*.worker") if path.is_file()]
            shutil.rmtree(pod.folder / "state")
        eventually(lambda: clients.asked > 60, timeout_s=120)
    finally:
        clients.stop()
    assert not clients.failed, clients.failed[:5]
    # Three answers of each round of the SDK, one of all others.
    eventually(lambda: stored(database) >= clients.asked, timeout_s=60)
