"""The Helm chart: rendered by Helm, held to Kubernetes' schemas and its restricted standard; contradictions refused."""

import json
import os
import re
import subprocess
import sys
import warnings

import click
import pytest
import yaml
from tests.deploy.chart import ALONE, CHART, ENGINE, FULL, LEAST, containers, helm, pods, rendered, run_helm
from tests.deploy.monitoring_files import ALERTS, DASHBOARD, rules

from freehold import __version__
from freehold.cli.main import cli
from freehold.gateway.config import GatewayConfig
from freehold.gateway.limits.keys import hash_of
from freehold.store import open_store
from freehold.types.config_file import parse
from freehold.types.route import ApiKey

pytestmark = [pytest.mark.process, helm]
EVERY = {"least": LEAST, "full": FULL, "alone": ALONE}
OF_OPERATORS = {"ServiceMonitor", "PrometheusRule"}
NAME = "shop-freehold"


@pytest.mark.parametrize("values", EVERY.values(), ids=EVERY)
def test_helm_finds_nothing_to_complain_of(values):
    ran = run_helm("lint", "--strict", values=values)
    assert ran.returncode == 0 and "[WARNING]" not in ran.stdout + ran.stderr, ran.stdout + ran.stderr


@pytest.mark.parametrize("version", ["1.31", "1.37"])
@pytest.mark.parametrize("values", EVERY.values(), ids=EVERY)
def test_manifests_are_what_the_api_takes(values, version):
    validate = pytest.importorskip("kubernetes_validate")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own use of importlib
        for (kind, _), one in rendered(values).items():
            if kind not in OF_OPERATORS:
                validate.validate(one, version, strict=True)


def test_each_part_is_there():
    kinds = {}
    for kind, name in rendered(FULL):
        kinds.setdefault(kind, set()).add(name)
    engines = {f"{NAME}-small", f"{NAME}-large"}
    assert kinds == {
        "Deployment": {NAME, f"{NAME}-console", *engines},
        "Service": {NAME, f"{NAME}-console", *engines},
        "NetworkPolicy": {NAME, f"{NAME}-console", *engines},
        "PodDisruptionBudget": {NAME, f"{NAME}-small"},
        "HorizontalPodAutoscaler": {NAME, f"{NAME}-small"},
        "ConfigMap": {f"{NAME}-config", f"{NAME}-small-config", f"{NAME}-dashboard"},
        "PersistentVolumeClaim": {f"{NAME}-small-weights", f"{NAME}-large-weights"},
        "Ingress": {NAME}, "Job": {f"{NAME}-first-key"}, "ServiceMonitor": {NAME}, "PrometheusRule": {NAME},
    }  # fmt: skip


@pytest.mark.parametrize("values", EVERY.values(), ids=EVERY)
def test_pods_keep_to_the_restricted_standard_with_a_read_only_root(values):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/ (read 2026-11-25)."""
    for pod in pods(rendered(values)).values():
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True and security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
        assert kinds <= {"configMap", "emptyDir", "secret", "persistentVolumeClaim"}
        names = {volume["name"] for volume in pod["volumes"]}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            writable = {
                one["mountPath"]: one["name"] for one in container["volumeMounts"] if not one.get("readOnly")
            }
            assert set(writable.values()) <= names
            # What a gateway writes to: temporary files, the project's state, weights.
            assert {"/tmp", "/var/lib/freehold"} <= set(writable)
            assert {"/srv/freehold", "/srv/freehold/.freehold"} & set(writable)


@pytest.mark.parametrize("values", EVERY.values(), ids=EVERY)
def test_secrets_are_named_and_never_written(values):
    found = rendered(values)
    assert "Secret" not in {kind for kind, _ in found}
    for pod in pods(found).values():
        for container in containers(pod):
            for one in container["env"]:
                if re.search("KEY|TOKEN|SECRET|PASSWORD|DATABASE", one["name"]):
                    assert set(one["valueFrom"]) == {"secretKeyRef"}


def test_each_part_is_given_its_own_secrets_and_no_other():
    given = {
        place: {
            one["name"] for container in containers(pod) for one in container["env"] if "valueFrom" in one
        }
        for place, pod in pods(rendered(FULL)).items()
    }
    assert given == {
        ("Deployment", NAME): {"FREEHOLD_DATABASE_URL", "OPENAI_API_KEY"},
        ("Deployment", f"{NAME}-console"): {"FREEHOLD_DATABASE_URL"},
        ("Deployment", f"{NAME}-small"): {"HF_TOKEN"},
        ("Deployment", f"{NAME}-large"): set(),
        ("Job", f"{NAME}-first-key"): {"FREEHOLD_DATABASE_URL"},
    }


@pytest.mark.parametrize("values", EVERY.values(), ids=EVERY)
def test_what_belongs_together_finds_each_other(values):
    found = rendered(values)
    labels = {
        name: one["spec"]["template"]["metadata"]["labels"]
        for (kind, name), one in found.items()
        if kind == "Deployment"
    }
    maps = {name for kind, name in found if kind == "ConfigMap"}
    claims = {name for kind, name in found if kind == "PersistentVolumeClaim"}
    for (kind, name), one in found.items():
        spec = one.get("spec", {})
        wanted = {
            "Service": lambda spec: spec["selector"],
            "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
            "Deployment": lambda spec: spec["selector"]["matchLabels"],
        }.get(kind)
        if wanted is not None:
            chosen = [each for each, has in labels.items() if wanted(spec).items() <= has.items()]
            assert chosen == [name], f"{kind} {name} selects the pods of its own name alone"
        if kind == "HorizontalPodAutoscaler":
            assert spec["scaleTargetRef"]["name"] == name in labels
            assert "replicas" not in found["Deployment", name]["spec"], "what was scaled is not set back"
        if kind == "Deployment":
            pod = spec["template"]["spec"]
            for volume in pod["volumes"]:
                assert volume.get("configMap", {}).get("name") in (None, *maps)
                assert volume.get("persistentVolumeClaim", {}).get("claimName") in (None, *claims)
            (served,) = pod["containers"]
            assert [port["name"] for port in served["ports"]] == ["http"]


def test_only_the_gateway_and_those_that_are_said_reach_an_engine():
    found = rendered(
        {**FULL, "networkPolicy": {**FULL["networkPolicy"], "enginesFrom": [{"podSelector": {}}]}}
    )
    (rule,) = found["NetworkPolicy", f"{NAME}-small"]["spec"]["ingress"]
    gateway, other = rule["from"]
    assert gateway["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "gateway"
    assert other == {"podSelector": {}}
    (rule,) = rendered(FULL)["NetworkPolicy", NAME]["spec"]["ingress"]
    assert len(rule["from"]) == 2 and {"podSelector": {}} not in rule["from"]


@pytest.mark.parametrize("values", EVERY.values(), ids=EVERY)
def test_a_pod_has_time_to_leave(values):
    """Traffic stops coming (preStop), answers end (drain_s), the last traces are written; then it may be killed."""
    (pod,) = [pod for (kind, name), pod in pods(rendered(values)).items() if name == NAME]
    (gateway,) = pod["containers"]
    (wait,) = gateway["lifecycle"]["preStop"]["exec"]["command"][1:]
    drain_s = GatewayConfig.__struct_defaults__[GatewayConfig.__struct_fields__.index("drain_s") - 1]
    assert drain_s == 30.0
    # `freehold up` gives the gateway `drain_s` and 20 seconds, then kills it.
    assert pod["terminationGracePeriodSeconds"] >= int(wait) + drain_s + 20
    paths = {
        name: gateway[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")
    }
    assert paths == {"startup": "/health", "readiness": "/ready", "liveness": "/health"}
    scheme = "HTTPS" if values is FULL else "HTTP"
    assert {gateway[f"{name}Probe"]["httpGet"]["scheme"] for name in paths} == {scheme}


@pytest.mark.parametrize(
    ("said", "seconds"), [("# drain_s = 9", 30), ("drain_s = 120", 120), ("drain_s = 0", 1)]
)
def test_a_pod_has_the_time_that_the_file_gives(said, seconds):
    config = f'[app]\nname = "shop"\n[serve]\n{said}\n'
    found = rendered({**LEAST, "config": config, "gateway": {"drainSeconds": seconds}})
    assert pods(found)["Deployment", NAME]["terminationGracePeriodSeconds"] == 10 + seconds + 30
    assert parse(config).serve.drain_s <= seconds


@pytest.mark.parametrize("values", EVERY.values(), ids=EVERY)
def test_an_update_takes_no_pod_away_before_the_next_is_there(values):
    spec = rendered(values)["Deployment", NAME]["spec"]
    if values is ALONE:
        assert spec["strategy"] == {"type": "Recreate"}, "its volume is one machine's at a time"
    else:
        assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


@pytest.mark.parametrize("values", EVERY.values(), ids=EVERY)
def test_commands_are_those_of_the_command_line(values):
    for pod in pods(rendered(values)).values():
        for container in containers(pod):
            program, *words = container["command"]
            assert program == "freehold"
            command = cli
            while isinstance(command, click.Group):
                command = command.get_command(None, words.pop(0))
            options = {option for parameter in command.params for option in parameter.opts}
            flags = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert flags <= options, (container["name"], flags - options)


def test_the_first_key_is_made_before_the_gateway_and_needs_nothing_of_the_release(tmp_path):
    """What Helm runs after an install with --wait comes when all pods are ready (fluxcd/helm-controller#249)."""
    found = rendered(FULL)
    job = found["Job", f"{NAME}-first-key"]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install"
    pod = job["spec"]["template"]["spec"]
    assert {kind for one in pod["volumes"] for kind in one if kind != "name"} == {"emptyDir"}
    (container,) = pod["containers"]
    database = f"sqlite:///{tmp_path / 'shared.sqlite3'}"
    folders = {"FREEHOLD_STATE": str(tmp_path / "state"), "FREEHOLD_HOME": str(tmp_path / "home")}
    environment = {**os.environ, **folders, "FREEHOLD_DATABASE_URL": database}
    ran = subprocess.run(
        [sys.executable, "-m", "freehold", *container["command"][1:]],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    with open_store(database) as store:
        (made,) = store.records(ApiKey)
    assert (made.name, made.role, made.hash) == ("boss", "admin", hash_of(ran.stdout.strip()))


def test_engines_are_endpoints_of_the_gateway():
    found = rendered({**FULL, "config": '[app]\nname = "shop"\n[incumbent]\nmodel = "gpt-4o"\n'})
    config = parse(found["ConfigMap", f"{NAME}-config"]["data"]["freehold.toml"])
    small, large = config.endpoints
    assert (small.name, small.base_url, small.models) == ("small", f"http://{NAME}-small", ("small",))
    assert large.models == () and large.price.prompt == 0 == large.price.completion
    assert ("Service", f"{NAME}-small") in found
    # A name that the engine's own gateway answers to.
    (engine,) = pods(found)["Deployment", f"{NAME}-small"]["containers"]
    assert f"{NAME}-small" in engine["command"]


def test_what_prometheus_and_grafana_get_are_the_files():
    found = rendered(FULL)
    text = ALERTS.read_text().replace("runbook_url: docs/", "runbook_url: https://docs.example.com/")
    assert found["PrometheusRule", NAME]["spec"] == yaml.safe_load(text)
    shown = json.loads(found["ConfigMap", f"{NAME}-dashboard"]["data"]["freehold.json"])
    assert shown == json.loads(DASHBOARD.read_text())
    (endpoint,) = found["ServiceMonitor", NAME]["spec"]["endpoints"]
    (relabelled,) = endpoint["relabelings"]
    assert relabelled == {"targetLabel": "job", "replacement": "freehold"}
    assert [rule for rule in rules() if 'job="freehold"' in rule["expr"]]
    assert endpoint["authorization"]["credentials"] == {"name": "monitoring", "key": "key"}
    selected = found["ServiceMonitor", NAME]["spec"]["selector"]["matchLabels"]
    assert selected.items() <= found["Service", NAME]["metadata"]["labels"].items()


def test_the_image_is_the_charts_version_unless_another_is_said():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == __version__

    def image(**given):
        values = {**LEAST, "image": {"repository": "registry:5000/freehold", **given}}
        return pods(rendered(values))["Deployment", NAME]["containers"][0]["image"]

    digest = "sha256:" + "0" * 64
    assert image() == f"registry:5000/freehold:{__version__}"
    assert image(tag="2") == "registry:5000/freehold:2"
    assert image(digest=digest) == f"registry:5000/freehold@{digest}"
    assert pods(rendered(ALONE))["Deployment", NAME]["containers"][0]["image"] == "registry/freehold:7"


CONTRADICTIONS = {
    "image.repository is empty": {"database": {"existingSecret": "db"}},
    "gateway.replicas is 3, and gateway.autoscaling.enabled": {
        **LEAST, "gateway": {"replicas": 3, "autoscaling": {"enabled": True}}},
    "minReplicas is 9 and maxReplicas 2": {
        **LEAST, "gateway": {"autoscaling": {"enabled": True, "minReplicas": 9, "maxReplicas": 2}}},
    "several gateways share one PostgreSQL": {"image": {"repository": "r"}},
    "would be gone with the pod": {"image": {"repository": "r"}, "gateway": {"replicas": 1}},
    "is for a SQLite store": {**LEAST, "gateway": {"persistence": {"enabled": True}}},
    "the console reads the store": {**ALONE, "console": {"enabled": True}},
    "gateway.terminationGracePeriodSeconds is 30": {
        **LEAST, "gateway": {"terminationGracePeriodSeconds": 30}},
    "by config the gateway gives running answers 300 seconds": {
        **LEAST, "config": '[app]\nname = "shop"\n[serve]\n"drain_s" = 2_99.5 # drain_s = 30\n'},
    "gateway.drainSeconds is 300": {**LEAST, "gateway": {"drainSeconds": 300}},
    "shows it to the world": {
        **LEAST, "gateway": {"withoutKeys": True}, "ingress": {"enabled": True, "host": "a.example.com"}},
    "and firstKey makes a key": {**LEAST, "gateway": {"withoutKeys": True}, "firstKey": "boss"},
    "cannot reach the gateway's volume": {**ALONE, "firstKey": "boss"},
    "are of the gateway, and gateway.enabled is false": {
        **LEAST, "gateway": {"enabled": False}, "engines": [ENGINE], "firstKey": "boss"},
    "nothing is left to run": {**LEAST, "gateway": {"enabled": False}},
    "ingress.host is empty": {**LEAST, "ingress": {"enabled": True}},
    "lets only pods of this namespace in": {
        **LEAST, "ingress": {"enabled": True, "host": "a.example.com"}},
    "serviceMonitor.keySecret is empty": {**LEAST, "serviceMonitor": {"enabled": True}},
    "lets Prometheus reach nothing": {**LEAST, "serviceMonitor": {"enabled": True, "keySecret": "s"}},
    "env has OPENAI_API_KEY with a value": {
        **LEAST, "env": [{"name": "OPENAI_API_KEY", "value": "sk-1"}]},
    "two parts are called small": {**LEAST, "engines": [ENGINE, ENGINE]},
    "two parts are called console": {**LEAST, "engines": [{**ENGINE, "name": "console"}]},
    "engine small: maxReplicas is 1": {**LEAST, "engines": [{**ENGINE, "replicas": 2, "maxReplicas": 1}]},
    "says nothing about a GPU": {**LEAST, "engines": [{**ENGINE, "gpus": 1, "maxReplicas": 3}]},
}  # fmt: skip


@pytest.mark.parametrize("sentence", CONTRADICTIONS)
def test_contradicting_values_are_refused_with_a_sentence(sentence):
    ran = run_helm("template", "shop", values=CONTRADICTIONS[sentence])
    assert ran.returncode != 0 and sentence in ran.stderr, ran.stderr
    assert not ran.stdout


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"gatewey": {}}, "gatewey"),
        ({"gateway": {"replicas": "two"}}, "replicas"),
        ({"secrets": [{"name": "K", "value": "sk-1"}]}, "value"),
        ({"engines": [{"name": "UPPER", "model": "m"}]}, "name"),
        ({"gateway": {"disruptionBudget": {"maxUnavailable": 0}}}, "maxUnavailable"),
    ],
)
def test_values_that_are_none_are_refused_by_the_schema(values, named):
    ran = run_helm("template", "shop", values={**LEAST, **values})
    assert ran.returncode != 0 and named in ran.stderr and "schema" in ran.stderr, ran.stderr


def test_every_value_is_in_the_schema_and_is_documented():
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(values) | {"global"} == set(schema["properties"])
    for name, part in values.items():
        inner = schema["properties"][name].get("properties", {})
        assert not isinstance(part, dict) or set(part) == set(inner), name
