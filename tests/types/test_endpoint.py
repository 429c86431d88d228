import pytest

from freehold.errors import UsageError
from freehold.types.endpoint import AdapterMount, Endpoint, ServedModel, ServePlan
from freehold.types.machine import Fit, Workload


def test_a_served_model_is_found_by_its_own_name_only():
    adapter = ServedModel(name="base:app", upstream_name="base", extra_body={"lora": [{"id": 0}]})
    endpoint = Endpoint(name="local", engine="llamacpp", base_url="http://127.0.0.1:1", models=(adapter,))
    assert endpoint.served("base:app") is adapter
    assert endpoint.served("base") is None


def test_a_request_is_sent_by_the_name_upstream_with_what_is_served_with_it():
    served = ServedModel(
        name="base:shop",
        upstream_name="base",
        extra_body={"lora": [{"id": 0, "scale": 1.0}]},
    )
    assert served.fields == {"model": "base", "lora": [{"id": 0, "scale": 1.0}]}


def test_memory_and_port_are_not_what_a_plan_is():
    fit = Fit(
        id="f", model="m", quantization="", machine="here", workload=Workload(), parts=(), total_bytes=7,
        available_bytes=9, headroom_bytes=2, fits=True, reasons=(),
    )  # fmt: skip
    plan = ServePlan(engine="llamacpp", model="m", port=8421, memory=fit)
    assert plan.memory_bytes == 7 and ServePlan(engine="echo", model="m").memory_bytes == 0
    assert plan.identity == ServePlan(engine="llamacpp", model="m")
    assert plan.key == plan.identity.key


def test_adapters_bring_the_template_they_were_taught_with():
    plan = ServePlan(engine="llamacpp", model="m", options={"chat_template": "base's", "batch": 64})
    plain = AdapterMount(name="m:a", path="a.gguf")
    taught = AdapterMount(name="m:b", path="b.gguf", chat_template="with calls")
    assert plan.with_adapters((plain,)).options == plan.options
    both = plan.with_adapters((plain, taught))
    assert both.options == {"chat_template": "with calls", "batch": 64}
    assert both.adapters == (plain, taught)
    other = AdapterMount(name="m:c", path="c.gguf", chat_template="otherwise")
    with pytest.raises(UsageError, match="m:b and m:c were trained with different chat templates"):
        plan.with_adapters((taught, other))
