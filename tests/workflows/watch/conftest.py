import msgspec
import pytest
from tests.gateway.loopback import _upstream, upstream  # noqa: F401
from tests.workflows.shift.shifting import ROUTE, mirrored
from tests.workflows.watch.watching import PROMOTED

from freehold.store import open_store
from freehold.workflows.project import open_project
from freehold.workflows.watch import watch


@pytest.fixture
def project(tmp_path, monkeypatch, incumbent):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOOK", f"{incumbent.url}/hook")
    monkeypatch.setattr(watch, "REQUESTS", 20)
    (tmp_path / "freehold.toml").write_text(
        f'[app]\nname = "support"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "{incumbent.url}"\n'
        "price = { prompt = 10, completion = 100 }\n"
        '[task]\nscorer = "exact"\nmargin = 0.05\n[watch]\nwebhook_env = "HOOK"\n'
    )
    return open_project()


@pytest.fixture
def store(project):
    with open_store(project.store_url) as store:
        for number in range(40):
            store.add_traces(mirrored(number))
        store.save_route(msgspec.structs.replace(ROUTE, state="promoted"), who="ada", at=PROMOTED)
        yield store
