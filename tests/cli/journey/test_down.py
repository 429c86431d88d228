import pytest

from freehold.types.progress import Silent
from freehold.workflows.project import open_project
from freehold.workflows.shift import background


@pytest.fixture
def running(freehold, tmp_path):
    """What ``freehold migrate`` would have left running."""
    (tmp_path / "freehold.toml").write_text('[app]\nname = "support"\n[serve]\nengine = "echo"\n')
    yield background.start(open_project(), progress=Silent())
    if background.running(open_project()) is not None:
        background.stop(open_project())


def test_what_runs_is_stopped_and_named(freehold, running):
    ran = freehold("down")
    assert (ran.code, ran.out, ran.err) == (0, "", f"stopped {running.url}\n")


def test_nothing_runs(refused, project):
    refused("down", message="nothing runs in the background here", hint="freehold up starts it")
