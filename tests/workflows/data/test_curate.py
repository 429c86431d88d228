"""What happens to samples on their way into a dataset, and the card that says so."""

import stat
from pathlib import Path

import pytest
from tests.workflows.data.building import TOML, fill, project_of, question, trace

from freehold.datasets import building
from freehold.types.config_file import parse
from freehold.workflows.data import curate
from freehold.workflows.data import dataset as workflow


def test_the_same_person_is_the_same_placeholder_in_all_splits(tmp_path):
    project = project_of(tmp_path)
    fill(
        project,
        [
            trace(n, f"{question(n)} I am ada@example.com", incumbent="mail ada@example.com")
            for n in range(60)
        ],
    )
    dataset = workflow.build(project)
    short = curate.data_in_short(dataset)
    assert any("personal data: looked for by built-in patterns" in line for line in short)
    assert any("answered by gpt-4o-2024-08-06" in line for line in short)
    assert not any("lamp" in line for line in short), "nothing of any sample"
    text = "".join((Path(dataset.path) / f"{name}.jsonl").read_text() for name in ("train", "held_out"))
    assert "ada@example.com" not in text
    assert len({word for word in text.replace('"', " ").split() if word.startswith("<EMAIL_")}) == 1
    card = curate.read_card(dataset)
    assert card.replaced["EMAIL"].different == 1 and card.replaced["EMAIL"].samples == 60
    key = project.state / curate.KEY
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and len(key.read_bytes()) == 32


def test_wrong_answers_of_the_incumbent_are_not_learned_but_stay_held_out(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, question(n), incumbent="no" if n % 2 else "Yes") for n in range(80)])
    dataset = workflow.build(project)
    taught = list(building.samples(dataset, "train"))
    compared = [*building.samples(dataset, "held_out"), *building.samples(dataset, "validation")]
    assert {sample.incumbent for sample in taught} == {"Yes", None}
    assert {sample.incumbent for sample in compared} == {"Yes", "no"}
    right = curate.read_card(dataset).incumbent_right
    assert (right["scored"], right["right"]) == (80, 40)
    assert right["not_learned"] == sum(sample.incumbent is None for sample in taught)


def test_few_samples_one_label_and_whose_answers_are_learned_from_are_told(tmp_path):
    project = project_of(tmp_path)
    fill(project, [trace(n, question(n), gold=None) for n in range(60)])
    terms = " ".join(curate.read_card(workflow.build(project)).terms)
    assert "gpt-4o-2024-08-06" in terms and "ruling for" in terms
    project = project_of(tmp_path)
    fill(project, [trace(n, question(n)) for n in range(20)])
    warnings = " ".join(curate.read_card(workflow.build(project)).warnings)
    assert "have the same answer" in warnings and "are few" in warnings and "prove little" in warnings


def test_files_held_out_whole_leave_the_others_to_training():
    def share(data):
        return curate.recipe_of(project_of(Path(), TOML + f"[data]\n{data}")).held_out

    assert share("") == 0.2
    assert share('held_out_files = ["test.jsonl"]') == 0
    assert share('held_out_files = ["test.jsonl"]\nheld_out = 0.1') == 0.1
    assert share("held_out = 0") == 0


@pytest.mark.parametrize(
    ("data", "candidates", "traces", "share"),
    [
        ("validation = 0.1\n", "ab", 1000, 0.1),
        ("", "a", 1000, 0.05),
        ("", "ab", 1000, 0.2),
        ("", "ab", 20_000, 0.1),
        ("", "ab", 4000, 0.2),
        ("", "ab", 100_000, 0.05),
        ("", "ab", 40, 0.25),
        ("", "ab", None, 0.05),
    ],
)
def test_the_selection_split_is_as_large_as_choosing_is_worth(data, candidates, traces, share):
    tables = "".join(f'[[candidates]]\nmodel = "{one}"\n' for one in candidates)
    config = parse(f'[app]\nname = "x"\n[data]\n{data}{tables}')
    assert curate.validation_share(config, traces) == pytest.approx(share)


@pytest.mark.parametrize(
    ("method", "least_share", "shares"),
    [
        ("as_is", 1, (0.95, 0.0)),
        ("prompt", 1, (0.95, 0.0)),
        ("as_is", 0.2, (0.2, 0.05)),
        ("lora", 1, (0.2, 0.05)),
    ],
)
def test_where_nothing_learns_all_samples_prove(method, least_share, shares):
    table = f'[[candidates]]\nmodel = "a"\nmethod = "{method}"\n' + (
        'system = "x"\n' if method == "prompt" else ""
    )
    config = parse(f'[app]\nname = "x"\n[defer]\nleast_share = {least_share}\n{table}')
    found = curate.held_out_share(config.data, learns=config.learns), curate.validation_share(config, 1000)
    assert found == pytest.approx(shares)
