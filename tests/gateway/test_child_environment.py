"""Each process of a gateway knows the secrets that it needs and no other: real processes, and what they can read."""

import psutil
import pytest
from tests.gateway.asking import post
from tests.gateway.loopback import eventually

from freehold.gateway import serve
from freehold.gateway.config import GatewayConfig
from freehold.types.endpoint import ANY_SERVED, Endpoint

pytestmark = pytest.mark.process

SECRETS = {
    "SHOP_KEY": "sk-for-the-endpoint",
    "OTHER_KEY": "sk-for-nobody-here",
    "PGPASSWORD": "for-the-database",
    "OTEL_EXPORTER_OTLP_HEADERS": "for-the-collector",
    "HTTPS_PROXY": "http://user:for-the-proxy@127.0.0.1:1",
}


def config(**changes):
    endpoint = Endpoint(
        name="e", engine="remote", base_url="http://127.0.0.1:1", models=ANY_SERVED, api_key_env="SHOP_KEY"
    )
    return GatewayConfig(endpoints=(endpoint,), port=serve.free_port(), **changes)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def secrets_in(environment):
    return set(SECRETS) & set(environment)


def test_real_processes_can_read_no_more(tmp_path):
    running = serve.start(config(store_url=f"sqlite:///{tmp_path}/s.sqlite3"), log=tmp_path / "gateway.log")
    try:
        # A long body is read in a process of its own.
        long = {"model": "m", "messages": [{"role": "user", "content": "x" * 600_000}]}
        assert post(running, long)[0] == 502
        main = psutil.Process(running.process.pid)

        def known():
            found = {}
            for process in main.children(recursive=True):
                module = next(
                    (word for word in process.cmdline() if word.startswith("freehold.")), process.name()
                )
                found.setdefault(module, set()).update(secrets_in(process.environ()))
            return found if len(found) >= 3 else None

        seen = eventually(known)
        assert seen.pop("freehold.gateway.worker") == {"SHOP_KEY", "HTTPS_PROXY"}
        # The recorder, and the processes in which workers read what strangers sent.
        assert set(seen) >= {"freehold.gateway.capture.recorder", "freehold.bounded.nursery"}
        assert set().union(*seen.values()) == set()
        assert secrets_in(main.environ()) == {"SHOP_KEY", "HTTPS_PROXY"}
    finally:
        running.stop()
