"""Endpoints with what running gateways counted of each."""

from tests.workflows.shift.shifting import ROUTE, START

from freehold.gateway.telemetry.meters import Meters, leave_word
from freehold.store import open_store
from freehold.types.endpoint import ServePlan
from freehold.workflows.project import open_project
from freehold.workflows.tell.views.query import ScreenQuery
from freehold.workflows.tell.views.serving import serving

FILE = """
[app]
name = "shop"
[incumbent]
model = "gpt-4o"
base_url = "http://127.0.0.1:1"
api_key_env = "SHOP_TEST_KEY"
"""


def test_numbers_are_of_the_running_gateway_and_absent_without_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SHOP_TEST_KEY", raising=False)
    (tmp_path / "freehold.toml").write_text(FILE)
    project = open_project()
    with open_store(project.store_url) as store:
        store.save_route(ROUTE, who="ada", at=START)
        store.put(ServePlan(engine="echo", model="base"))
        before = serving(project, store, ScreenQuery(), at=START)
        lines = {line.name: line for line in before.endpoints}
        assert before.load is None and before.gateway_url is None
        assert lines["incumbent"].key_missing and lines["incumbent"].answers is None
        assert lines["local"].engine == "echo" and lines["local"].routes == ("support",)
        assert before.engine is not None and before.engine.model == "base"
        numbers = Meters()
        numbers.count_answer("support", "incumbent", "incumbent", 200, 0.1, 0.2)
        numbers.count_answer("support", "incumbent", "incumbent", 502, None, 0.2)
        numbers.count("freehold_upstream_failures", "incumbent", "connect", by=3)
        numbers.count("freehold_restarts", "worker", "ended")
        numbers.in_flight = 2
        run = project.state / "run"
        run.mkdir()
        numbers.write(run)
        leave_word(project.state / "spool", run)
        after = serving(project, store, ScreenQuery(), at=START)
        line = next(line for line in after.endpoints if line.name == "incumbent")
        assert (line.answers, line.errors, line.failures) == (2, 1, {"connect": 3})
        assert after.load is not None
        assert (after.load.in_flight, after.load.restarts) == (2, {"worker: ended": 1})
