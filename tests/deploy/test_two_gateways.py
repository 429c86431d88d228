"""The gateways of compose.yaml as their real processes, on one PostgreSQL and under one Prometheus.

What is not here of a container: its root, its user and its network's names. Commands, settings, keys, the scrape and
the alerts are those of the files.
"""

import concurrent.futures
import itertools
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from decimal import Decimal

import pytest
import yaml
from tests.deploy.containerfile import CONTAINERFILE, ROOT, environment, last, lineage, stages
from tests.deploy.monitoring_files import rules
from tests.deploy.scraping import prometheus
from tests.gateway.asking import QUESTION, post
from tests.gateway.conftest import database as _database
from tests.gateway.loopback import ANSWER, FakeUpstream, eventually, plain

from freehold.gateway.serve import free_port
from freehold.store import open_store
from freehold.types.route import ApiKey

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(400)]
database = pytest.fixture(scope="module")(_database.__wrapped__)
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SCRAPE = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yaml").read_text())
NAMES = ("gateway-1", "gateway-2")
CAP_USD, EACH_USD = Decimal("0.03"), Decimal("0.0015")
"""Of a key for a day, and what an answer costs: 9 tokens in, 3 out."""
CONFIG = """
[app]
name = "support"
[incumbent]
model = "gpt-4o"
base_url = "{url}/v1"
price = {{ prompt = 100, completion = 200 }}
[capture]
mode = "raw"
"""
OF_INSTANCES = 8
"""At least this many alerts look at each gateway by itself."""


class ComposedGateway:
    """A service of compose.yaml as a process on this machine: its command and its settings, with folders and an address
    that are free here."""

    def __init__(self, name, folder, database):
        service, chain = COMPOSE["services"][name], lineage(stages(CONTAINERFILE.read_text())[1], "gateway")
        assert "command" not in service, "it runs what the image runs"
        self.name, self.port, self.folder = name, free_port(), folder / name
        self.folder.mkdir()
        self.scratch = tempfile.TemporaryDirectory(prefix="gw-", dir="/tmp")
        own = {
            "FREEHOLD_DATABASE_URL": database, "FREEHOLD_HOST": "127.0.0.1", "FREEHOLD_PORT": str(self.port),
            "FREEHOLD_STATE": str(self.folder / "state"), "FREEHOLD_HOME": str(self.folder / "home"),
            "TMPDIR": self.scratch.name, "PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }  # fmt: skip
        settings = {**environment(chain), **service["environment"]}
        assert set(settings) > {"FREEHOLD_DATABASE_URL", "FREEHOLD_STATE", "FREEHOLD_OFFLINE"}
        self.environment = {**settings, **own}
        self.words = [str(folder / "freehold.toml") if word.startswith("/etc/") else word
                      for word in last(chain, "CMD").words]  # fmt: skip
        self.process = None

    def freehold(self, *words):
        """`docker compose run --rm gateway-1 …`: another process with the same settings."""
        done = subprocess.run(
            [sys.executable, "-m", "freehold", *words], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self):
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "freehold", *self.words], cwd=self.folder, env=self.environment,
                stdout=log, stderr=log,
            )  # fmt: skip

    def get(self, path, key=None):
        headers = {"authorization": f"Bearer {key}"} if key else {}
        try:
            request = urllib.request.Request(f"{self.base_url}{path}", headers=headers)
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def is_ready(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        return self.get("/ready") == 200

    def ask(self, key, **more):
        return post(self, {**QUESTION, "model": "gpt-4o", "max_tokens": 3, **more},
                    headers={"authorization": f"Bearer {key}"}, timeout=60)[0]  # fmt: skip

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.port}"

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        self.scratch.cleanup()


class Scene:
    def __init__(self, gateways, upstream, keys, watching, database):
        self.gateways, self.upstream, self.keys = gateways, upstream, keys
        self.prometheus, self.database = watching, database


@pytest.fixture(scope="module")
def scene(database, tmp_path_factory):
    folder, upstream = tmp_path_factory.mktemp("composed"), FakeUpstream()
    upstream.answer = lambda seen: plain(ANSWER, delay=0.05)
    (folder / "freehold.toml").write_text(CONFIG.format(url=upstream.base_url))
    gateways = [ComposedGateway(name, folder, database) for name in NAMES]
    try:
        first = gateways[0]
        keys = {"app": first.freehold("keys", "add", "app")}
        keys["capped"] = first.freehold("keys", "add", "capped", "--limit", f"usd_per_day={CAP_USD}")
        keys["monitoring"] = first.freehold("keys", "add", "monitoring", "--role", "read")
        (folder / "metrics-key").write_text(f"{keys['monitoring']}\n")
        for one in gateways:
            one.start()
        for one in gateways:
            eventually(one.is_ready, timeout_s=120)
        with prometheus(folder, [scrape(folder, gateways)]) as watching:
            yield Scene(gateways, upstream, keys, watching, database)
    finally:
        for one in gateways:
            one.end()
        upstream.close()


def scrape(folder, gateways):
    """The job of the shipped file, with this machine's addresses and place of the key."""
    (job,) = SCRAPE["scrape_configs"]
    (targets,) = job["static_configs"]
    assert targets["targets"] == [f"{name}:8420" for name in NAMES]
    assert job["authorization"]["credentials_file"].startswith("/run/secrets/metrics-key")
    return {
        **job,
        "authorization": {"credentials_file": str(folder / "metrics-key")},
        "static_configs": [{"targets": [f"127.0.0.1:{one.port}" for one in gateways]}],
    }


def instances(scene):
    return {f"127.0.0.1:{one.port}" for one in scene.gateways}


def test_a_key_that_one_process_made_is_taken_by_both(scene):
    assert [one.ask(scene.keys["app"]) for one in scene.gateways] == [200, 200]
    assert [one.ask("fh-wrong") for one in scene.gateways] == [401, 401]


def test_a_cap_is_exact_over_both(scene):
    """Asked at both at once, far more than it allows: what is answered is the cap to the last request."""
    before = len(scene.upstream.seen)
    turns = itertools.cycle(scene.gateways)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(next(turns).ask, scene.keys["capped"]) for _ in range(80)]
        statuses = [one.result() for one in asked]
    answered = statuses.count(200)
    assert set(statuses) <= {200, 429, 503} and len(scene.upstream.seen) - before == answered
    # What one gateway holds for itself and does not need comes to the other, if not at once.
    most = int(CAP_USD / EACH_USD)

    def rest():
        nonlocal answered
        answered += [one.ask(scene.keys["capped"]) for one in scene.gateways].count(200)
        return answered >= most

    eventually(rest, timeout_s=60)
    assert answered == most == len(scene.upstream.seen) - before
    assert [one.ask(scene.keys["capped"]) for one in scene.gateways] == [429, 429]


def test_traces_of_both_are_in_one_store(scene):
    for number in range(20):
        question = [{"role": "user", "content": f"parcel {number}"}]
        assert scene.gateways[number % 2].ask(scene.keys["app"], messages=question) == 200
    wanted = {f"parcel {number}" for number in range(20)}
    eventually(lambda: wanted <= asked_and_kept(scene), timeout_s=60)
    with open_store(scene.database) as store:
        assert {one.name for one in store.records(ApiKey)} == {"app", "capped", "monitoring"}


def asked_and_kept(scene):
    """What the traces of the store say that was asked."""
    with open_store(scene.database) as store:
        return {one.request["messages"][-1]["content"] for one in store.traces(complete_only=False)}


def test_the_alerts_ask_of_both_instances_what_they_compare(scene):
    """Without its comparisons, an alert of instances finds a series of each; with them, none fires: a request that was
    refused while the two shared out what is left of a cap is over before an alert's time."""
    for one in scene.gateways:
        assert one.ask(scene.keys["app"]) == 200
    eventually(lambda: len(scene.prometheus.ask('up{job="freehold"} == 1')) == 2)
    # A rate has no value before Prometheus has looked twice.
    looked = eventually(lambda: len(found := compared(scene)) >= OF_INSTANCES and found, timeout_s=60)
    assert {"FreeholdDown", "FreeholdNotReady"} <= set(looked)
    for bare in looked.values():
        eventually(lambda bare=bare: of_instances(scene, bare) == instances(scene))
    told = scene.prometheus.get("/api/v1/alerts")["data"]["alerts"]
    assert [one["labels"] for one in told if one["state"] == "firing"] == []


def compared(scene):
    """Alerts that find something of an instance without their comparison, and what they ask then."""
    bare = {
        rule["alert"]: re.sub(r"\s(?:==|>=|<=|>|<) [0-9.]+(?: \* 86400)?", "", rule["expr"])
        for rule in rules()
    }
    return {alert: query for alert, query in bare.items() if of_instances(scene, query) - {None}}


def of_instances(scene, query):
    return {one["metric"].get("instance") for one in scene.prometheus.ask(query)}


def test_requests_of_both_add_up_in_prometheus(scene):
    query = 'sum(freehold_requests_total{status="200"})'
    scene.prometheus.wait_for_scrapes()
    before = float(scene.prometheus.ask(query)[0]["value"][1])
    for one in scene.gateways:
        assert one.ask(scene.keys["app"]) == 200
    eventually(lambda: float(scene.prometheus.ask(query)[0]["value"][1]) == before + 2)


def test_a_key_is_revoked_in_both(scene):
    second = scene.gateways[1]
    second.freehold("keys", "revoke", "app", "--why", "a test")
    for one in scene.gateways:
        eventually(lambda one=one: one.ask(scene.keys["app"]) == 401, timeout_s=10)


def test_one_that_is_killed_is_told_apart_and_the_other_goes_on(scene):
    killed, left = scene.gateways
    key = left.freehold("keys", "add", "later")
    killed.process.kill()
    killed.process.wait()
    (down,) = [rule["expr"] for rule in rules() if rule["alert"] == "FreeholdDown"]
    eventually(lambda: of_instances(scene, down) == {f"127.0.0.1:{killed.port}"})
    eventually(lambda: left.ask(key) == 200)
