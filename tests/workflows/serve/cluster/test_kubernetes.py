"""A plan as values of the chart, and as the manifests that Helm makes of them."""

import json
import warnings

import msgspec
import pytest
import yaml
from tests.deploy.chart import CHART, containers, helm
from tests.workflows.serve.cluster.rendered import documents

from freehold.errors import UsageError
from freehold.types.config import parse
from freehold.types.endpoint import ServePlan
from freehold.workflows.serve.cluster.kubernetes import chart_values
from freehold.workflows.serve.cluster.render import render


def rendered(plan):
    """The manifests by kind."""
    return {one["kind"]: one for one in documents(render(plan, "kubernetes")) if one}


def pod_of(plan):
    return rendered(plan)["Deployment"]["spec"]["template"]["spec"]


def values_of(plan):
    (values,) = documents(render(plan, "values"))
    return values


def test_values_are_those_of_the_charts_schema(made, weights):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((CHART / "values.schema.json").read_text())
    options = {"chat_template": 'a "b"\n{{ c }}', "spin": 0}
    vllm = ServePlan(engine="vllm", model="org/base", weights_path=weights, options=options)
    for plan in (
        made(image="i", secrets=("HF_TOKEN",), storage_class="fast"),
        made(vllm, image="i", gpus=2, accelerator="L4", min_replicas=1, max_replicas=1),
    ):
        values = values_of(plan)
        assert values == chart_values(plan)
        jsonschema.validate(values, schema)


@helm
def test_kubernetes_manifests_are_what_the_api_takes(made):
    validate = pytest.importorskip("kubernetes_validate")
    plan = made(image="here/freehold:1", secrets=("HF_TOKEN", "FREEHOLD_DATABASE_URL"), namespace="models")
    found = rendered(plan)
    assert set(found) == {
        "PersistentVolumeClaim", "Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own use of importlib
        for one in found.values():
            validate.validate(one, "1.31", strict=True)
            assert one["metadata"]["namespace"] == "models"
    assert found["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"], (
        "pods share the weights"
    )
    deployment = found["Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (server,) = pod["containers"]
    assert server["image"] == "here/freehold:1"
    assert server["command"][:3] == ["freehold", "serve", "org/base"]
    assert "org/base:shop=/adapters/shop" in server["command"]
    secret = {
        "name": "HF_TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "freehold-secrets", "key": "HF_TOKEN"}},
    }
    assert secret in server["env"], "by name, never by value"
    assert server["resources"]["requests"] == {"cpu": "1500m", "memory": "3072Mi"}
    assert "cpu" not in server["resources"]["limits"]
    threads = {"name": "FREEHOLD_THREADS", "value": "1"}
    assert threads in server["env"], "not a thread for each core of the machine"
    assert pod["initContainers"][0]["command"] == ["freehold", "pull", "org/base"]
    assert pod["initContainers"][0]["resources"] == server["resources"], "quotas want them for each container"
    online = {"name": "FREEHOLD_OFFLINE", "value": "false"}
    assert online in pod["initContainers"][0]["env"] and online not in server["env"], (
        "fetched once, before the start"
    )
    assert "replicas" not in deployment["spec"], "applying the file again leaves what the autoscaler chose"
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    (allowed,) = found["NetworkPolicy"]["spec"]["ingress"]
    assert {"podSelector": {}} in allowed["from"], "its own namespace, and no other"
    assert not [one for one in allowed["from"] if "namespaceSelector" in one or "ipBlock" in one]
    service = found["Service"]
    name = service["metadata"]["name"]
    assert name == "freehold-support-intents-model"
    allowed_hosts = [word for word in server["command"] if word.startswith(name)]
    assert f"{name}.models.svc.cluster.local" in allowed_hosts, "pods may ask by the service's name"
    scaler = found["HorizontalPodAutoscaler"]["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (2, 4)


@helm
def test_kubernetes_with_a_gpu_and_one_replica(made):
    plan = made(image="i", min_replicas=1, max_replicas=1, gpus=1, accelerator="NVIDIA-L4", storage_gib=80)
    found = rendered(plan)
    assert set(found) == {"PersistentVolumeClaim", "Deployment", "Service", "NetworkPolicy"}
    assert found["Deployment"]["spec"]["replicas"] == 1
    assert found["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}, (
        "the volume is one machine's at a time"
    )
    claim = found["PersistentVolumeClaim"]["spec"]
    assert claim["resources"]["requests"]["storage"] == "80Gi" and claim["accessModes"] == ["ReadWriteOnce"]
    pod = pod_of(plan)
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "nvidia.com/gpu" not in pod["initContainers"][0]["resources"]["limits"]
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-L4"}


def test_an_image_must_be_named(made):
    for target in ("kubernetes", "values"):
        with pytest.raises(UsageError, match="names no image"):
            render(made(), target)


@helm
def test_options_reach_the_pods(made, weights):
    options = {"chat_template": 'a "b"\n{{ c }}', "spin": 0, "draft": {"x y": [1, 2.5, True]}}
    serve = ServePlan(engine="llamacpp", model="org/base", weights_path=weights, options=options)
    plan = made(serve, image="i")
    changed = made(msgspec.structs.replace(serve, options={"spin": 1}), image="i")
    annotations = [
        rendered(one)["Deployment"]["spec"]["template"]["metadata"]["annotations"] for one in (plan, changed)
    ]
    assert annotations[0] != annotations[1], "changed options make new pods"
    config = rendered(plan)["ConfigMap"]
    read = parse(config["data"]["freehold.toml"])
    assert read.serve.options == options and read.serve.engine == "llamacpp"
    pod = pod_of(plan)
    (volume,) = [one for one in pod["volumes"] if one["name"] == "config"]
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    for container in containers(pod):
        (place,) = [one for one in container["volumeMounts"] if one["name"] == "config"]
        assert place["mountPath"] == f"{container['workingDir']}/freehold.toml", (
            "where the command looks for it"
        )


@helm
def test_vllm_is_installed_on_the_volume_and_gets_shared_memory(made, weights):
    plan = made(ServePlan(engine="vllm", model="org/base", weights_path=weights), image="i", gpus=2)
    # Two replicas of a GPU each and no more: an autoscaler that looks at processors would not know when.
    plan = msgspec.structs.replace(plan, config=msgspec.structs.replace(plan.config, max_replicas=2))
    pod = pod_of(plan)
    first, second = pod["initContainers"]
    assert first["command"] == ["freehold", "engines", "install", "vllm"]
    assert second["command"] == ["freehold", "pull", "org/base"]
    places = {one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
    volume = {"name": "shared-memory", "emptyDir": {"medium": "Memory"}}
    assert "/dev/shm" in places and volume in pod["volumes"]


@helm
def test_what_the_chart_refuses_is_told_in_its_words(made):
    plan = made(image="i", gpus=1, min_replicas=1, max_replicas=4)
    with pytest.raises(
        UsageError, match="helm does not render the chart: engine model: the autoscaler looks at"
    ):
        render(plan, "kubernetes")


def test_a_rendered_file_can_be_read_by_people(made):
    text = render(made(image="i"), "values")
    assert "&id" not in text and text.startswith("# Written by freehold")
    assert yaml.safe_load(text)["engines"][0]["replicas"] == 2
