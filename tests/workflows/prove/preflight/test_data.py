from tests.workflows.prove.preflight.held_out import dataset, sample

from freehold.types.config_file import parse
from freehold.types.evaluation import Task
from freehold.workflows.prove.preflight.data import label_findings, length_findings

TASK = Task(name="t", scorer="label", margin=0.05)


def lengths(tmp_path, characters, *, more=""):
    samples = [sample(number, asked=f"{number} " + "x" * size) for number, size in enumerate(characters)]
    config = parse(f'[app]\nname = "t"\n{more}')
    made = dataset(tmp_path, train=samples, held_out=samples)
    return list(length_findings(config, made, samples, trains=True, serves=True))


def test_prompts_longer_than_what_is_trained_on_fail_and_name_the_key(tmp_path):
    train, context = lengths(tmp_path, [20_000] * 36, more="[serve]\ncontext_tokens = 8192\n")
    assert train.outcome == "fail"
    assert (
        train.text == "36 of 36 training samples are longer than [train] max_tokens = 1,024 and are left out"
    )
    assert train.fix == "[train] max_tokens = 8192 in freehold.toml"
    assert context.outcome == "ok"


def test_a_few_long_ones_are_a_warning(tmp_path):
    train, context = lengths(tmp_path, [100] * 35 + [9_000])
    assert (train.outcome, context.outcome) == ("warn", "warn")
    assert "about 1 of 36 training samples may be longer" in train.text
    assert context.fix == "[serve] context_tokens = 4096 in freehold.toml"


def test_labels_that_are_asked_for_and_never_taught_are_named(tmp_path):
    train = [sample(1, gold="Yes"), sample(2, gold="no")]
    held_out = [
        sample(3, gold="yes"),
        sample(4, gold="perhaps"),
        sample(5, gold="perhaps"),
        sample(6, gold="no"),
    ]
    (found,) = label_findings(TASK, dataset(tmp_path, train=train, held_out=held_out), held_out)
    assert found.outcome == "warn"
    assert found.text == (
        "1 of 3 labels of the held-out part are never taught: perhaps (2); that is 50.0% of its items"
    )
    (found,) = label_findings(TASK, dataset(tmp_path, train=train, held_out=held_out[:1]), held_out[:1])
    assert found.outcome == "ok"
    (found,) = label_findings(TASK, dataset(tmp_path, train=train, held_out=held_out), held_out[1:3])
    assert found.outcome == "fail"
