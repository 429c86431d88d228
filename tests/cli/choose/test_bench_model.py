import pytest


@pytest.mark.process
def test_a_speed_is_measured_kept_and_shown(freehold, project):
    with (project / "freehold.toml").open("a") as config:
        config.write(
            "[serve.options]\ntoken_delay_ms = 2\n"
        )  # so that more tokens take longer, however busy it is
    found = freehold("bench-model", "echo", "--engine", "echo", "--json").json
    assert (found["model"], found["engine"], found["speed"]["how"]) == ("echo", "echo", "measured")
    ran = freehold("bench-model", "echo", "--engine", "echo")
    assert ran.code == 0
    assert "  writes  " in ran.out and "tokens a second" in ran.out


def test_a_model_that_is_not_here(refused, project, monkeypatch):
    monkeypatch.setenv("FREEHOLD_OFFLINE", "1")
    refused("bench-model", "org/gone", message="weights of org/gone are not here", hint="FREEHOLD_OFFLINE")
