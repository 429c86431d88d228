"""A real Prometheus that scrapes gateways, for the tests of what is asked of it."""

import contextlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
import yaml
from tests.deploy.monitoring_files import ALERTS
from tests.gateway.loopback import eventually

from freehold.processes import claim_port


class Prometheus:
    """One on loopback; `ask` gives the series that a query finds now."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path, **query):
        address = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(address, timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)

    def ask(self, query):
        said = self.get("/api/v1/query", query=query)
        assert said["status"] == "success", said
        assert not said.get("warnings") and not said.get("infos"), said
        return said["data"]["result"]

    def wait_for_scrapes(self):
        """Until what the gateways tell now is stored: the first scrape that ends may have begun before, and one is
        stored for sure when the next has ended."""
        for _ in range(3):
            before = {name: one["lastScrape"] for name, one in self.targets().items()}
            eventually(
                lambda before=before: all(
                    self.targets()[name]["lastScrape"] != at for name, at in before.items()
                )
            )

    def targets(self):
        return {one["scrapePool"]: one for one in self.get("/api/v1/targets")["data"]["activeTargets"]}


@contextlib.contextmanager
def prometheus(folder, jobs):
    """Prometheus with these scrape configurations and the alerts, each second. Skips the test where there is none."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": jobs,
    }
    file, port = folder / "prometheus.yaml", claim_port()
    file.write_text(yaml.safe_dump(config))
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError, urllib.error.URLError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2).close()
                break
            assert process.poll() is None and time.monotonic() < deadline, (
                folder / "prometheus.log"
            ).read_text()
            time.sleep(0.1)
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait(30)
