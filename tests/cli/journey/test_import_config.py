import tomllib

FILE = """
model_list:
  - {model_name: gpt-4o, litellm_params: {model: openai/gpt-4o, api_key: sk-live-abcdef, mock: 1}}
general_settings: {master_key: sk-live-master}
"""


def test_the_file_is_shown_and_the_rest_is_said_beside_it(freehold, tmp_path):
    (tmp_path / "c.yaml").write_text(FILE)
    ran = freehold("import-config", "c.yaml")
    assert ran.code == 0
    assert tomllib.loads(ran.out)["incumbent"]["api_key_env"] == "OPENAI_API_KEY"
    assert "c.yaml: LiteLLM" in ran.err
    assert "general_settings: keys are made by commands" in ran.err
    assert "OPENAI_API_KEY (its value stands at model_list[0].litellm_params.api_key)" in ran.err
    assert "sk-live" not in ran.out + ran.err


def test_another_file_is_refused(freehold, tmp_path):
    (tmp_path / "c.yaml").write_text("a: 1\n")
    ran = freehold("import-config", "c.yaml")
    assert ran.code == 2 and "not a configuration of LiteLLM" in ran.err
