import pytest
from tests.workflows.journey.converting.converted import converted, unmapped

JOB = {
    "object": "fine_tuning.job", "id": "ftjob-abc", "model": "gpt-4o-mini-2024-07-18", "created_at": 1721764800,
    "finished_at": 1721768400, "fine_tuned_model": "ft:gpt-4o-mini-2024-07-18:acme::abc", "organization_id": "org-1",
    "result_files": ["file-r"], "status": "succeeded", "validation_file": None, "training_file": "file-t",
    "trained_tokens": 5768, "error": None, "seed": 683058546, "estimated_finish": None, "integrations": [],
    "hyperparameters": {"batch_size": "auto", "learning_rate_multiplier": 1.8, "n_epochs": 3},
    "method": {"type": "supervised", "supervised": {"hyperparameters": {"batch_size": 8, "n_epochs": 3}}},
}  # fmt: skip

EVAL = {
    "object": "eval", "id": "eval_1", "name": "Queues", "created_at": 1739314509, "metadata": {},
    "data_source_config": {"type": "custom", "item_schema": {"type": "object"}, "schema": {}},
    "testing_criteria": [
        {"type": "string_check", "name": "match", "input": "{{sample.output_text}}",
         "reference": "{{item.queue}}", "operation": "eq"},
        {"type": "python", "name": "own", "source": "def grade(sample, item): return 1"},
    ],
}  # fmt: skip


def test_a_fine_tuned_model_is_the_incumbent(tmp_path):
    made, config = converted(tmp_path, "job.json", JOB)
    assert made.tool == "openai"
    assert (config.incumbent.preset, config.incumbent.model) == (
        "openai",
        "ft:gpt-4o-mini-2024-07-18:acme::abc",
    )
    assert (config.train.method, config.train.epochs, config.train.batch_size) == ("lora", 3, 8)
    assert config.train.seed == 683058546
    assert {"training_file", "hyperparameters.learning_rate_multiplier"} <= unmapped(made)
    assert any("freehold rescue ft:gpt-4o-mini" in one for one in made.commands)


def test_of_a_list_the_newest_that_ended_counts(tmp_path):
    old = {**JOB, "id": "ftjob-old", "fine_tuned_model": "ft:old", "created_at": 1}
    failed = {**JOB, "id": "ftjob-failed", "fine_tuned_model": None, "created_at": 1999999999}
    listed = {"object": "list", "data": [old, JOB, failed], "has_more": False}
    _, config = converted(tmp_path, "jobs.json", listed)
    assert config.incumbent.model == JOB["fine_tuned_model"]
    _, config = converted(tmp_path, "jobs.json", listed, incumbent="ft:old", replace=True)
    assert config.incumbent.model == "ft:old"


@pytest.mark.parametrize("kind", ["dpo", "reinforcement"])
def test_ways_of_training_that_have_no_counterpart_are_told(tmp_path, kind):
    made, _ = converted(tmp_path, "job.json", {**JOB, "method": {"type": kind}})
    assert "method" in unmapped(made)


def test_a_request_that_starts_a_job_is_read_too(tmp_path):
    _, config = converted(tmp_path, "request.json", {"training_file": "file-a", "model": "gpt-4.1-mini"})
    assert config.incumbent.model == "gpt-4.1-mini"


def test_an_evals_string_check_is_the_scorer(tmp_path):
    made, config = converted(tmp_path, "eval.json", EVAL, incumbent="gpt-4o")
    assert (config.task.scorer, config.data.label) == ("exact", "queue")
    assert {"testing_criteria[1]", "data_source_config"} <= unmapped(made)


def test_an_evals_model_is_the_judge(tmp_path):
    grader = {"type": "score_model", "name": "g", "model": "gpt-4o", "input": [], "pass_threshold": 0.5}
    _, config = converted(tmp_path, "eval.json", {**EVAL, "testing_criteria": [grader]})
    assert config.task.scorer == "judge" and config.task.options["model"] == "gpt-4o"
