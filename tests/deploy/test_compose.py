"""The files of deploy/compose.yaml: what they promise, and that each is what its program reads."""

import json
import re
import shutil
import subprocess

import click
import msgspec
import pytest
import yaml
from tests.deploy.containerfile import CONTAINERFILE, ROOT, stages
from tests.workflows.shift.deployment.test_systemd import SERVICE

from freehold.cli.main import cli
from freehold.settings import SETTINGS
from freehold.workflows.shift.deployment import proxies

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if str(service["image"]).startswith("freehold:")]
SHIPPED_APART = [DEPLOY / "grafana" / "freehold.json", DEPLOY / "prometheus" / "alerts.yaml"]
has_alerts = pytest.mark.skipif(
    not all(path.exists() for path in SHIPPED_APART), reason="the dashboard and the alert rules are not here"
)
OF_THE_USER = {"./freehold.toml", "./metrics-key"}
"""Files that the guide says how to make."""


def test_it_is_two_gateways_and_what_watches_them():
    assert set(SERVICES) == {
        *("gateway-1", "gateway-2", "console", "proxy", "database", "prometheus", "grafana"),
    }
    assert set(OURS) == {"gateway-1", "gateway-2", "console"}


@pytest.mark.parametrize("name", OURS)
def test_ours_have_no_rights_and_write_to_volumes_alone(name):
    service = SERVICES[name]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert [one.partition(":")[0] for one in service["tmpfs"]] == ["/tmp"]
    written = [one for one in service["volumes"] if not one.endswith(":ro")]
    (state,) = written
    assert state.endswith(":/srv/freehold/.freehold")
    assert {one.split(":")[0] for one in written}.isdisjoint(
        volume.split(":")[0]
        for other in OURS
        if other != name
        for volume in SERVICES[other]["volumes"]
        if not volume.endswith(":ro")
    ), "two gateways never write into one state folder"
    assert float(service["stop_grace_period"].removesuffix("s")) > 38, "streams finish first"
    _, found = stages(CONTAINERFILE.read_text())
    assert service["build"]["target"] in {stage.name for stage in found}
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


@pytest.mark.parametrize("name", OURS)
def test_our_commands_and_settings_are_freeholds(name):
    known = {setting.variable for setting in SETTINGS}
    assert {one for one in SERVICES[name]["environment"] if one.startswith("FREEHOLD_")} <= known
    if words := SERVICES[name].get("command"):
        cli.get_command(click.Context(cli), words[0]).make_context(words[0], list(words[1:]))


@has_alerts
def test_volumes_and_files_are_there():
    declared = set(COMPOSE["volumes"])
    used = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert source in OF_THE_USER or (DEPLOY / source).exists(), source
                assert volume.endswith(":ro")
            else:
                used.add(source)
    assert used == declared
    assert {secret["file"] for secret in COMPOSE["secrets"].values()} <= OF_THE_USER
    ignored = (DEPLOY / ".gitignore").read_text().split()
    assert {one.removeprefix("./") for one in OF_THE_USER} | {".env"} <= set(ignored), (
        "secrets stay out of git"
    )


def test_no_secret_has_a_default_and_only_the_front_door_is_open():
    text = (DEPLOY / "compose.yaml").read_text()
    for name in ("POSTGRES_PASSWORD", "GRAFANA_PASSWORD"):
        assert not re.search(rf"\${{{name}(?!:\?)", text), f"{name} has to be said"
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            assert name == "proxy" or port.startswith("127.0.0.1:"), (name, port)


def test_images_have_a_version_and_their_registry():
    for name, service in SERVICES.items():
        if name not in OURS:
            assert re.fullmatch(r"docker\.io/[\w./-]+:v?\d+(\.\d+)*", service["image"]), service["image"]


def test_the_proxy_is_what_up_renders():
    service = msgspec.structs.replace(
        SERVICE,
        name="compose.yaml",
        names=("{$FREEHOLD_NAME:localhost}",),
        upstreams=("gateway-1:8420", "gateway-2:8420"),
    )
    assert (DEPLOY / "caddy" / "Caddyfile").read_text() == proxies.caddy(service)


@has_alerts
def test_prometheus_takes_its_configuration(tmp_path):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    text = (DEPLOY / "prometheus" / "prometheus.yaml").read_text()
    (tmp_path / "key").write_text("fh-0")
    (tmp_path / "prometheus.yml").write_text(text.replace("/run/secrets/metrics-key", str(tmp_path / "key")))
    shutil.copy(DEPLOY / "prometheus" / "alerts.yaml", tmp_path)
    done = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    scraped = yaml.safe_load(text)["scrape_configs"][0]["static_configs"][0]["targets"]
    assert scraped == ["gateway-1:8420", "gateway-2:8420"]


def test_the_dashboard_finds_its_prometheus():
    sources = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yaml").read_text())
    (source,) = sources["datasources"]
    assert source["url"] == "http://prometheus:9090" and source["isDefault"]
    providers = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/freehold.yaml").read_text())
    (provider,) = providers["providers"]
    mounts = [one.split(":")[1] for one in SERVICES["grafana"]["volumes"]]
    assert f"{provider['options']['path']}/freehold.json" in mounts


def test_a_reader_of_the_specification_takes_it():
    compose_spec = pytest.importorskip("compose_spec")
    text = re.sub(r"\$\{\w+(:-([^}]*)|:\?[^}]*)\}", lambda found: found[2] or "said", json.dumps(COMPOSE))
    made = compose_spec.PyCompose.from_json(text)
    assert set(made.service_names()) == set(SERVICES)
    with pytest.raises(ValueError, match="read_olny"):
        compose_spec.PyCompose.from_json(text.replace("read_only", "read_olny"))
