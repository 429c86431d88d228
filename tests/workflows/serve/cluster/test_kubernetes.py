"""Manifests for Kubernetes, checked against the schemas of its API."""

import warnings

import msgspec
import pytest
from tests.workflows.serve.cluster.rendered import documents

from freehold.errors import UsageError
from freehold.types.config import parse
from freehold.types.endpoint import ServePlan
from freehold.workflows.serve.cluster.render import render


def test_kubernetes_manifests_are_what_the_api_takes(made):
    validate = pytest.importorskip("kubernetes_validate")
    found = documents(
        render(made(image="here/freehold:1", secrets=("HF_TOKEN", "FREEHOLD_DATABASE_URL")), "kubernetes")
    )
    assert [one["kind"] for one in found] == [
        "PersistentVolumeClaim",
        "Deployment",
        "Service",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own use of importlib
        for one in found:
            validate.validate(one, "1.31", strict=True)
    claim, deployment, service, policy, budget, scaler = found
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"], "several pods share the weights"
    pod = deployment["spec"]["template"]["spec"]
    server = pod["containers"][0]
    assert server["command"][:3] == ["freehold", "serve", "org/base"]
    assert "org/base:shop=/adapters/shop" in server["command"]
    secret = {
        "name": "HF_TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "freehold-secrets", "key": "HF_TOKEN"}},
    }
    assert secret in server["env"], "by name, never by value"
    assert server["resources"]["requests"] == {"cpu": "1500m", "memory": "3072Mi"}
    assert {"name": "FREEHOLD_THREADS", "value": "1"} in server["env"], (
        "not a thread for each core of the machine"
    )
    assert pod["initContainers"][0]["command"] == ["freehold", "pull", "org/base"]
    assert pod["initContainers"][0]["resources"] == server["resources"], "quotas want them for each container"
    online = {"name": "FREEHOLD_OFFLINE", "value": "false"}
    assert online in pod["initContainers"][0]["env"] and online not in server["env"], (
        "fetched once, before the start"
    )
    assert "replicas" not in deployment["spec"], "applying the file again leaves what the autoscaler chose"
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    (allowed,) = policy["spec"]["ingress"]
    assert allowed["from"] == [{"podSelector": {}}], "its own namespace and nobody else"
    assert allowed["ports"][0]["port"] == server["ports"][0]["containerPort"]
    selected = deployment["spec"]["selector"]
    assert budget["spec"]["selector"] == policy["spec"]["podSelector"] == selected
    assert service["spec"]["ports"][0]["targetPort"] == server["ports"][0]["name"]
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 4)


def test_kubernetes_with_a_gpu_and_one_replica(made):
    plan = made(image="i", min_replicas=1, max_replicas=1, gpus=1, accelerator="NVIDIA-L4", storage_gib=80)
    claim, deployment, _, _ = documents(render(plan, "kubernetes"))
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}, "the volume is one machine's at a time"
    assert claim["spec"]["resources"]["requests"]["storage"] == "80Gi"
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    pod = deployment["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-L4"}
    with pytest.raises(UsageError, match="names no image"):
        render(made(), "kubernetes")


def test_pods_keep_to_the_restricted_standard_and_leave_in_peace(made):
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/ (read 2026-11-25)
    found = documents(render(made(image="i"), "kubernetes"))
    pod = next(one for one in found if one["kind"] == "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"] and "cpu" not in container["resources"]["limits"]
    (server,) = pod["containers"]
    wait = int(server["lifecycle"]["preStop"]["exec"]["command"][1])
    assert 0 < wait < pod["terminationGracePeriodSeconds"]
    paths = {name: server[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/health", "readiness": "/ready", "liveness": "/health"}


def test_options_reach_the_pods(made, weights):
    validate = pytest.importorskip("kubernetes_validate")
    options = {"chat_template": 'a "b"\n{{ c }}', "spin": 0, "draft": {"x y": [1, 2.5, True]}}
    serve = ServePlan(engine="llamacpp", model="org/base", weights_path=weights, options=options)
    found = documents(render(made(serve, image="i"), "kubernetes"))
    config = next(one for one in found if one["kind"] == "ConfigMap")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in found:
            validate.validate(one, "1.31", strict=True)
    changed = msgspec.structs.replace(serve, options={"spin": 1})
    others = documents(render(made(changed, image="i"), "kubernetes"))
    pods = [
        next(one for one in files if one["kind"] == "Deployment")["spec"]["template"]["metadata"]
        for files in (found, others)
    ]
    assert pods[0]["annotations"] != pods[1]["annotations"], "changed options make new pods"
    read = parse(config["data"]["freehold.toml"])
    assert read.serve.options == options and read.serve.engine == "llamacpp"
    pod = next(one for one in found if one["kind"] == "Deployment")["spec"]["template"]["spec"]
    (volume,) = [one for one in pod["volumes"] if one["name"] == "config"]
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    (server,) = pod["containers"]
    (place,) = [one for one in server["volumeMounts"] if one["name"] == "config"]
    assert place["mountPath"] == f"{server['workingDir']}/freehold.toml", "where the command looks for it"


def test_vllm_is_installed_on_the_volume_and_gets_shared_memory(made, weights):
    serve = ServePlan(engine="vllm", model="org/base", weights_path=weights)
    found = documents(render(made(serve, image="i", gpus=2), "kubernetes"))
    pod = next(one for one in found if one["kind"] == "Deployment")["spec"]["template"]["spec"]
    first, second = pod["initContainers"]
    assert first["command"] == ["freehold", "engines", "install", "vllm"]
    assert second["command"] == ["freehold", "pull", "org/base"]
    assert "nvidia.com/gpu" not in first["resources"]["limits"]
    places = {one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
    assert (
        "/dev/shm" in places and {"name": "shared-memory", "emptyDir": {"medium": "Memory"}} in pod["volumes"]
    )
