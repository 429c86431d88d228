"""The unit, read by systemd's own programs."""

import json
import re
import shutil
import subprocess

import msgspec
import pytest

from freehold.errors import ConfigError
from freehold.workflows.shift.deployment.service import GatewayService
from freehold.workflows.shift.deployment.systemd import unit

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
    read_timeout_seconds=600.0,
    max_body_bytes=64 << 20,
    names=(),
    upstreams=("127.0.0.1:8420",),
    certificate=None,
    certificate_key=None,
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
