"""A rehearsal is set up as the project's next rollout would be."""

import pytest
from tests.workflows.shift.shifting import trace

from freehold.workflows.project import open_project
from freehold.workflows.project_store import opened_store
from freehold.workflows.shift.rollout.rehearse import USUAL_RATE, rate_of, settings_of

CONFIG = (
    '[app]\nname = "x"\n[task]\nmargin = 0.1\n[rollout]\nshadow = 0.3\ncanary = [0.1, 0.4]\nmax_p95_ms = 700\n'
    "requests_per_user = 2\nwindow_minutes = 1\nfailure_window_seconds = 4\n"
)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "freehold.toml").write_text(CONFIG)
    return open_project(tmp_path / "freehold.toml")


def test_shares_and_windows_are_the_projects_and_the_rate_is_its_traffics(project):
    found = settings_of(project, rate=None, share=None)
    assert (found.shadow_share, found.canary_share, found.max_p95_ms) == (0.3, 0.4, 700)
    assert (found.requests_per_user, found.window_s, found.failure_window_s) == (2, 60, 4)
    assert found.rate == USUAL_RATE
    with opened_store(project) as (store, _):
        store.add_traces(trace(number) for number in range(100))  # one a second
        assert rate_of(store) == pytest.approx(1.0)
    assert settings_of(project, rate=None, share=None).rate == pytest.approx(1.0)
    asked = settings_of(project, rate=7.0, share=0.2)
    assert (asked.rate, asked.canary_share) == (7.0, 0.2)
