import pytest
from msgspec.structs import replace

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


def test_what_answers_has_an_id_that_only_what_decides_changes():
    plan = ServePlan(
        engine="llamacpp", model="m", weights_sha256="w", adapters=(AdapterMount(name="m:a", path="a"),)
    )
    same = {"threads": 3, "parallel": 9, "port": 7, "weights_path": "/elsewhere", "host": "::1"}
    assert replace(plan, **same).candidate_id() == plan.candidate_id() == plan.candidate_id("m:a")
    others = ({"weights_sha256": "x"}, {"options": {"batch": 2}}, {"kv_type": "q8_0"}, {"labels": ("a",)})
    ids = {
        plan.candidate_id(),
        plan.candidate_id("m"),
        *(replace(plan, **one).candidate_id() for one in others),
    }
    assert len(ids) == 6


def test_a_model_that_others_serve_is_known_by_its_address_and_name():
    known = ServedModel(name="own", upstream_name="own", candidate_id="c1")
    endpoint = Endpoint(name="e", engine="remote", base_url="http://x", models=(known,))
    assert endpoint.candidate_id("own") == "c1"
    ids = {
        endpoint.candidate_id("m"),
        endpoint.candidate_id("n"),
        replace(endpoint, base_url="http://y").candidate_id("m"),
    }
    assert len(ids) == 3
    assert replace(endpoint, name="other").candidate_id("m") in ids, "what it is called here decides nothing"
