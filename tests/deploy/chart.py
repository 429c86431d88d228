"""The chart as tests render it: by Helm itself."""

import functools
import json
import shutil
import subprocess

import pytest
import yaml
from tests.deploy.monitoring_files import ROOT

CHART = ROOT / "deploy" / "helm" / "freehold"
helm = pytest.mark.skipif(shutil.which("helm") is None, reason="helm is not installed: python scripts/helm")

LEAST = {"image": {"repository": "registry/freehold"}, "database": {"existingSecret": "db"}}
ENGINE = {"name": "small", "model": "hf:org/model-GGUF#model.gguf", "resources": {"requests": {"cpu": "1"}}}
FULL = {
    **LEAST,
    "secrets": [{"name": "OPENAI_API_KEY", "secret": "vendors", "key": "openai"}],
    "env": [{"name": "FREEHOLD_LOG_REQUESTS", "value": "true"}],
    "firstKey": "boss",
    "gateway": {"tlsSecret": "tls", "hosts": ["models.example.com"], "autoscaling": {"enabled": True}},
    "ingress": {"enabled": True, "host": "llm.example.com", "tlsSecret": "t", "className": "nginx"},
    "console": {"enabled": True},
    "engines": [
        {**ENGINE, "replicas": 2, "maxReplicas": 3, "models": ["small"], "config": '[app]\nname = "x"\n',
         "secrets": [{"name": "HF_TOKEN", "secret": "hub", "key": "token"}]},
        {"name": "large", "model": "org/large", "engine": "vllm", "install": "vllm", "gpus": 1,
         "accelerator": "NVIDIA-L4", "sharedMemory": True},
    ],
    "networkPolicy": {
        "gatewayFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}],
        "monitoringFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
    },
    "serviceMonitor": {"enabled": True, "keySecret": "monitoring", "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "docsUrl": "https://docs.example.com/"},
    "dashboard": {"enabled": True},
}  # fmt: skip
ALONE = {
    "image": {"repository": "registry/freehold:7"},
    "gateway": {"replicas": 1, "persistence": {"enabled": True}},
}


def run_helm(*words, values):
    given = json.dumps(values)
    return subprocess.run(
        ["helm", *words, str(CHART), "--namespace", "models", "--values", "-"],
        input=given, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@functools.cache
def _rendered(values):
    ran = run_helm("template", "shop", values=json.loads(values))
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def rendered(values):
    """The manifests by kind and name."""
    found = {}
    for one in yaml.safe_load_all(_rendered(json.dumps(values))):
        if one:
            place = one["kind"], one["metadata"]["name"]
            assert place not in found
            found[place] = one
    return found


def pods(found):
    """The pods of manifests, by what makes them."""
    return {
        place: one["spec"]["template"]["spec"]
        for place, one in found.items()
        if place[0] in ("Deployment", "Job")
    }


def containers(pod):
    return [*pod.get("initContainers", ()), *pod["containers"]]
