"""A rehearsal through the command, with the project's own settings."""

import pytest

CONFIG = (
    '[app]\nname = "x"\n[incumbent]\nmodel = "m"\n[task]\nmargin = 0.1\n'
    "[rollout]\nfailure_window_seconds = 1\nlook_seconds = 0.5\ncanary = [0.1, 0.5]\n"
)


@pytest.mark.process
def test_errors_are_rolled_back_with_the_projects_settings(tmp_path, freehold, monkeypatch):
    (tmp_path / "freehold.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    made = freehold(
        "rollout", "rehearse", "--fault", "errors", "--drop", "0.5", "--rate", "40", "--json"
    ).json
    assert made["rolled_back"] and made["late_requests"] == 0
    settings = made["settings"]
    assert (settings["canary_share"], settings["failure_window_s"], settings["rate"]) == (0.5, 1.0, 40.0)
