"""`freehold fit --measure speed`."""

import pytest

from freehold.errors import UsageError
from freehold.workflows.fit.learned import measured
from freehold.workflows.project import open_project
from freehold.workflows.serve.measure import bench


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FREEHOLD_HOME", str(tmp_path / "home"))
    # Each token takes its time, so that a long answer takes measurably longer than a short one.
    (tmp_path / "freehold.toml").write_text(
        '[app]\nname = "x"\n[serve]\nengine = "echo"\n[serve.options]\ntoken_delay_ms = 2\n'
    )
    return open_project()


@pytest.mark.process
def test_a_measured_speed_is_kept_and_replaced(project):
    first = bench(project, "echo", completion_tokens=32)
    low, high = first.speed.prefill_tokens_per_second
    assert 0 < low <= high
    assert first.speed.how == "measured"
    again = bench(project, "echo", completion_tokens=32)
    assert again.id == first.id
    assert measured(project, "echo", "Q4_0") == again.speed, "an engine that names no quantization"
    assert measured(project, "other", "Q4_0") is None


def test_too_few_tokens_are_refused(project):
    with pytest.raises(UsageError, match="16 tokens"):
        bench(project, "echo", prompt_tokens=4)
