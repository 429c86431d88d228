"""Plans for a cluster: their names, their memory, and the table they are made from."""

import pytest

from freehold.errors import UsageError
from freehold.settings import load
from freehold.types.config import AppConfig, ClusterConfig, ProjectConfig
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.types.machine import Fit, Workload
from freehold.workflows.project import Project
from freehold.workflows.serve import cluster

GIB = 1 << 30


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(bytes(1000))
    return str(path)


@pytest.fixture
def made(tmp_path, weights):
    """A plan of two replicas; fields change `[cluster]`."""

    def make(serve=None, **fields):
        config = {"replicas": 2, "cpus": 1.5, **fields}
        project = Project(tmp_path, ProjectConfig(app=AppConfig(name="Support Intents!")), load(), None)
        mounts = (AdapterMount(name="org/base:shop", path="/adapters/shop"),)
        serve = serve or ServePlan(
            engine="llamacpp", model="org/base", weights_path=weights, adapters=mounts, parallel=3
        )
        return cluster.plan(project, serve, ClusterConfig(**config))

    return make


def test_the_plan_names_itself_and_what_it_needs(made, tmp_path):
    plan = made()
    assert plan.name == "freehold-support-intents"
    assert plan.serve.threads == 1 and made(cpus=8).serve.threads == 8, "as many as it has cores"
    assert made().memory_bytes == cluster.BASE_BYTES + 1200
    with pytest.raises(UsageError, match="runs elsewhere already"):
        made(ServePlan(engine="ollama", model="m"))


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
    assert made(serve).memory_bytes == 7 * GIB
