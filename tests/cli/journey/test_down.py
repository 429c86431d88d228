import pytest

from freehold.progress import Silent
from freehold.workflows.project import open_project
from freehold.workflows.shift import background

pytestmark = pytest.mark.process


@pytest.fixture
def running(freehold, tmp_path):
    """What ``freehold migrate`` would have left running."""
    (tmp_path / "freehold.toml").write_text('[app]\nname = "support"\n[serve]\nengine = "echo"\n')
    yield background.start(open_project(), progress=Silent())
    if background.running(open_project()) is not None:
        background.stop(open_project())


def test_what_was_stopped_is_told_in_json(freehold, running):
    ran = freehold("down", "--json")
    assert (ran.code, ran.json["url"], ran.json["pid"]) == (0, running.url, running.pid)
    assert background.running(open_project()) is None


def test_nothing_runs(refused, project):
    refused("down", message="nothing runs in the background here", hint="freehold up starts it")
