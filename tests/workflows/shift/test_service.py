"""The unit for systemd: what a service is started with, what `--render` refuses, and the text, read by systemd's own
programs.
"""

import json
import re
import shutil
import subprocess
import sys

import msgspec
import pytest

from freehold.errors import ConfigError, UsageError
from freehold.workflows.project import open_project
from freehold.workflows.shift.service import GatewayService, program, service_of, unit
from freehold.workflows.shift.up import Listening

FILE = """
[app]
name = "support"
[incumbent]
model = "gpt-4o"
base_url = "https://api.example.com/v1"
api_key_env = "INCUMBENT_KEY"
[serve]
hosts = ["llm.example.com", "*.example.com"]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("FREEHOLD_HOME", "FREEHOLD_STATE", "FREEHOLD_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def opened(text=FILE):
        (tmp_path / "freehold.toml").write_text(text)
        return open_project(tmp_path / "freehold.toml")

    return opened


HERE = Listening()


def made_service(project, user="ada", **more):
    return service_of(project, listening=HERE, user=user, **more)


def test_a_service_is_the_command_with_absolute_paths(project, tmp_path, monkeypatch):
    monkeypatch.setenv("FREEHOLD_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("FREEHOLD_DATABASE_URL", "postgresql+psycopg://freehold:secret@db/freehold")
    service = made_service(project(), options=("--workers", "2"))
    assert service.command == (
        *(*program(), "up", "--config", str(tmp_path / "freehold.toml")),
        *("--workers", "2"),
    )
    assert service.state == str(tmp_path / "state") == service.environment["FREEHOLD_STATE"]
    assert service.secrets == ("FREEHOLD_DATABASE_URL", "INCUMBENT_KEY")
    assert "secret" not in str(service.environment)


def test_the_file_says_how_long_a_service_drains_and_which_secrets_it_needs(project, monkeypatch):
    monkeypatch.setenv("FREEHOLD_OTEL", "1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret")
    judge = '[task]\nscorer = "judge"\noptions = { api_key_env = "JUDGE_KEY" }\n'
    watch = '[watch]\nwebhook_env = "ALARMS"\n'
    service = made_service(project(f"{FILE}drain_s = 300\n{judge}{watch}"))
    assert service.drain_seconds == 300.0
    assert service.secrets == ("ALARMS", "INCUMBENT_KEY", "JUDGE_KEY", "OTEL_EXPORTER_OTLP_HEADERS")


def test_the_program_is_the_one_that_renders(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert program() == (str(tmp_path / "python"), "-m", "freehold")
    (tmp_path / "freehold").touch()
    assert program() == (str(tmp_path / "freehold"),)


def test_a_service_without_a_project_or_for_root_is_refused(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"there is no freehold\.toml here"):
        made_service(open_project())
    for user in ("root", "0"):
        with pytest.raises(UsageError, match="does not run as root"):
            made_service(project(), user=user)
    with pytest.raises(UsageError, match="not the name of a user"):
        made_service(project(), user="ada\nExecStart=/bin/sh")


def test_a_line_break_cannot_end_a_line_of_the_file(project):
    with pytest.raises(ConfigError, match="control character"):
        made_service(project(), options=("--host", "a\nExecStart=/bin/sh"))


SERVICE = GatewayService(
    name="support",
    command=("/bin/true", "up", "--config", "/srv/support/freehold.toml"),
    environment={"FREEHOLD_HOME": "/var/cache/freehold"},
    secrets=("OPENAI_API_KEY",),
    port=8420,
    folder="/srv",
    state="/var/lib/freehold/support",
    home="/var/cache/freehold",
    user="daemon",
    has_engine=False,
    runs_user_code=False,
    drain_seconds=30.0,
)


def service(**changes):
    return msgspec.structs.replace(SERVICE, **changes)


def lines(text):
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.fixture
def analyze(tmp_path):
    """``systemd-analyze`` on a unit's file."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")

    def run(verb, text, *options):
        file = tmp_path / "freehold-support.service"
        file.write_text(text)
        command = ["systemd-analyze", verb, *options, "--man=no", str(file)]
        if verb != "verify":
            command.remove("--man=no")
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


VARIANTS = {
    "gateway": {},
    "engine": {"has_engine": True},
    "user code": {"runs_user_code": True},
    "a port below 1024": {"port": 443},
    "no secrets": {"secrets": ()},
    "odd folders of its own": {"state": "/var/lib/my apps/100%/.freehold", "home": "/var/cache/a:b"},
    "folders anywhere": {"state": "/srv/my project/100%/.freehold", "home": "/home/ada/.cache/freehold"},
}


@pytest.mark.process
@pytest.mark.parametrize("variant", VARIANTS)
def test_systemd_accepts_the_unit_and_does_not_find_it_exposed(variant, analyze):
    text = unit(service(**VARIANTS[variant]))
    verified = analyze("verify", text)
    assert (verified.returncode, verified.stderr.strip()) == (0, "")
    scored = analyze("security", text, "--offline=true", "--json=short")
    assert scored.returncode == 0, scored.stderr
    assert isinstance(json.loads(scored.stdout), list)
    told = analyze("security", text, "--offline=true", "--no-pager")
    exposure = float(re.search(r"exposure level for \S+: ([\d.]+)", told.stdout)[1])
    # The words of systemd: below 5 is "OK" (from 2) or "SAFE"; a service without any of these lines has 9 and more.
    assert exposure < {"gateway": 2.0, "user code": 5.0}.get(variant, 3.0), told.stdout


@pytest.mark.process
def test_a_word_that_systemd_does_not_know_would_be_seen(analyze):
    assert "Unknown key" in analyze("verify", unit(SERVICE).replace("UMask", "UMaks")).stderr


@pytest.mark.process
def test_words_reach_the_command_as_they_are(analyze):
    odd = service(command=("/bin/true", "--config", '/srv/a b/100%/$HOME/"q"/\'s/freehold.toml'))
    (line,) = [line for line in lines(unit(odd)) if line.startswith("ExecStart=")]
    assert line == """ExecStart=/bin/true --config "/srv/a b/100%%/$$HOME/\\"q\\"/'s/freehold.toml\""""
    assert analyze("verify", unit(odd)).returncode == 0


def test_what_may_be_written():
    own = lines(unit(SERVICE))
    assert "StateDirectory=freehold/support" in own and "CacheDirectory=freehold" in own
    assert "ProtectHome=yes" in own and not any(line.startswith("ReadWritePaths") for line in own)
    here = lines(unit(service(state="/home/ada/support/.freehold", home="/home/ada/.cache/freehold")))
    assert "ReadWritePaths=-/home/ada/support/.freehold -/home/ada/.cache/freehold" in here
    assert "ProtectHome=read-only" in here


def test_odd_folders_stay_one_folder_each():
    odd = lines(unit(service(state="/var/lib/my apps/100%/.freehold", home="/var/cache/a:b")))
    assert 'StateDirectory="my apps/100%%/.freehold"' in odd
    assert "ReadWritePaths=-/var/cache/a:b" in odd, "a colon would make a link of another name"


@pytest.mark.parametrize("folder", ["/srv/support\\", "/srv/support "])
def test_a_folder_that_a_unit_cannot_name_is_refused(folder):
    with pytest.raises(ConfigError, match="systemd cannot be told of it"):
        unit(service(folder=folder))


def test_secrets_are_named_and_their_absence_stops_a_start():
    assert "EnvironmentFile=/etc/freehold/support.env" in lines(unit(SERVICE))
    assert "OPENAI_API_KEY" in unit(SERVICE)
    assert "EnvironmentFile=-/etc/freehold/support.env" in lines(unit(service(secrets=())))


def test_signals_are_those_that_a_gateway_understands():
    text = lines(unit(SERVICE))
    assert "ExecReload=/bin/kill -USR2 $MAINPID" in text and "KillMode=mixed" in text
    assert "TimeoutStopSec=60" in text, "the drain, and what comes after"
    assert "Type=notify" in text


def test_a_scorer_that_starts_namespaces_keeps_them():
    text = unit(service(runs_user_code=True))
    assert (
        "RestrictNamespaces" not in text and "SystemCallFilter" not in text and "NoNewPrivileges=yes" in text
    )


def test_an_engine_keeps_its_devices():
    text = unit(service(has_engine=True))
    assert "PrivateDevices" not in text and "MemoryDenyWriteExecute" not in text
    assert "TimeoutStartSec=1800" in text


def test_a_low_port_needs_the_right_to_it_and_nothing_else():
    text = lines(unit(service(port=443)))
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in text and "PrivateUsers=yes" not in text
    assert "AmbientCapabilities=" in lines(unit(SERVICE))
