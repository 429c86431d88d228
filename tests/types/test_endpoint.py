from freehold.types.endpoint import Endpoint, ServedModel


def test_a_served_model_is_found_by_its_own_name_only():
    adapter = ServedModel(name="base:app", upstream_name="base", extra_body={"lora": [{"id": 0}]})
    endpoint = Endpoint(name="local", engine="llamacpp", base_url="http://127.0.0.1:1", models=(adapter,))
    assert endpoint.served("base:app") is adapter
    assert endpoint.served("base") is None
