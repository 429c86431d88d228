from tests.workflows.journey.converting.converted import converted, unmapped

FILE = """
nmp_config:
  nemo_base_url: "http://nemo.test"
llm_judge_config:
  type: "remote"
  url: "https://integrate.api.nvidia.com/v1/chat/completions"
  model_id: "meta/llama-3.3-70b-instruct"
  api_key_env: "NGC_KEY"
nims:
  - model_name: "meta/llama-3.2-1b-instruct"
    context_length: 8192
    gpus: 1
    tag: "1.8.3"
    customization_enabled: true
  - model_name: "unknown/model-1b"
data_split_config: {eval_size: 20, val_ratio: 0.1, min_total_records: 50, random_seed: null}
icl_config: {max_context_length: 32768, reserved_tokens: 4096, max_examples: 3, min_examples: 1}
training_config: {training_type: sft, finetuning_type: lora, epochs: 2, batch_size: 16, learning_rate: 0.0001}
lora_config: {adapter_dim: 32, adapter_dropout: 0.1}
"""


def test_nims_are_candidates_each_way_that_the_flywheel_tries(tmp_path):
    made, config = converted(tmp_path, "config.yaml", FILE, incumbent="gpt-4o")
    assert made.tool == "flywheel"
    model = "meta-llama/Llama-3.2-1B-Instruct"
    assert [(one.model, one.method, one.k) for one in config.candidates] == [
        (model, "as_is", None),
        (model, "examples", 3),
        (model, "lora", None),
    ]
    assert (config.train.epochs, config.train.batch_size, config.train.learning_rate) == (2, 16, 0.0001)
    assert (config.train.r, config.train.lora_dropout) == (32, 0.1)
    assert (config.data.held_out_limit, config.data.validation) == (20, 0.1)
    assert config.incumbent.model == "gpt-4o"


def test_the_judge_is_the_scorer_and_the_rest_is_named(tmp_path):
    made, config = converted(tmp_path, "config.yaml", FILE)
    assert config.task.options == {
        "base_url": "https://integrate.api.nvidia.com/v1",
        "model": "meta/llama-3.3-70b-instruct",
        "api_key_env": "NGC_KEY",
    }
    assert {"nims[1]", "nmp_config", "icl_config.max_context_length"} <= unmapped(made)
    assert config.incumbent is None
