import json

import pytest

from freehold.errors import ConfigError, InputError
from freehold.types.config import DataConfig
from freehold.types.config_file import parse
from freehold.workflows.journey.init import DraftRequest, draft


def chat(text, answer, **more):
    messages = [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
    return {"messages": messages, **more}


def log(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_what_the_log_tells_is_written(tmp_path):
    path = log(
        tmp_path / "traffic.jsonl",
        [
            {
                "request": {"model": "gpt-4o", "messages": [{"role": "user", "content": f"message {n}"}]},
                "response": {
                    "choices": [
                        {"index": 0, "message": {"role": "assistant", "content": ("yes", "no")[n % 2]}}
                    ]
                },
                "user": f"u{n % 7}",
                "metadata": {"language": ("en", "de")[n % 2], "ticket": n},
            }
            for n in range(60)
        ],
    )
    drafted = draft(DraftRequest(folder=tmp_path, files=(path,)))
    text = (tmp_path / "freehold.toml").read_text()
    config = parse(text)
    assert config.incumbent.model == drafted.incumbent == "gpt-4o"
    assert config.data.files == ("traffic.jsonl",)
    assert (config.task.scorer, config.task.group_by) == ("label", "user")
    assert '# slices = ["language"]' in text  # a ticket's number is no slice
    assert drafted.seen[0].records == 60 and drafted.seen[0].whole
    assert any("no record says what is right" in line for line in drafted.open)
    (told,) = [line for line in drafted.open if "answers of gpt-4o would be learned" in line]
    assert "allowed for" in told and "3.3(e)) for SmolLM2-135M-Instruct" in told


@pytest.mark.parametrize(("a_class", "held_out", "samples"), [(10, 320, 160), (30, 0, 384)])
def test_training_samples_are_those_that_will_be_learned_from(tmp_path, a_class, held_out, samples):
    def labelled(name, count):
        return log(tmp_path / name, [chat(f"{name} {n}", f"label {n % 20}") for n in range(count)])

    apart = (labelled("proof.jsonl", held_out),) if held_out else ()
    draft(DraftRequest(folder=tmp_path, files=(labelled("traffic.jsonl", 20 * a_class),), held_out=apart))
    text = (tmp_path / "freehold.toml").read_text()
    assert f"# {samples} training samples teach a model the task" in text
    assert "[data] unlabelled lets it learn" in " ".join(text.replace("\n# ", " ").split())


def test_a_log_of_few_conversations_begins_with_the_margin_that_they_can_prove(tmp_path):
    def turn(n):
        opening = {"role": "user", "content": f"conversation {n % 40}"}
        more = [{"role": "assistant", "content": "yes"}, {"role": "user", "content": f"turn {n}"}]
        return {"messages": [opening, *more, {"role": "assistant", "content": ("yes", "no")[n % 2]}]}

    draft(DraftRequest(folder=tmp_path, files=(log(tmp_path / "t.jsonl", [turn(n) for n in range(1_200)]),)))
    text = (tmp_path / "freehold.toml").read_text()
    assert "# The 1,200 records are of 40 conversations, users or questions, and each counts once." in text


@pytest.mark.parametrize(("rows", "held_out", "margin"), [(300, 0, 0.08), (1_100, 0, 0.02), (300, 210, 0.02)])
def test_the_margin_is_one_that_what_is_held_out_can_prove(tmp_path, rows, held_out, margin):
    def labelled(name, count):
        return log(tmp_path / name, [chat(f"{name} {n}", ("yes", "no")[n % 2]) for n in range(count)])

    files = (labelled("traffic.jsonl", rows),)
    apart = (labelled("proof.jsonl", held_out),) if held_out else ()
    draft(DraftRequest(folder=tmp_path, files=files, held_out=apart))
    text = (tmp_path / "freehold.toml").read_text()
    assert parse(text).task.margin == margin
    assert ("Two points (0.02) take about 1,006 records" in text) == (margin > 0.02)


def test_columns_that_were_named_stay_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("frage,klasse\n" + "".join(f"frage {n},{n % 3}\n" for n in range(30)))
    draft(DraftRequest(folder=tmp_path, files=(path,), data=DataConfig(input="frage", label="klasse")))
    config = parse((tmp_path / "freehold.toml").read_text())
    assert (config.data.input, config.data.label, config.task.scorer) == ("frage", "klasse", "numeric")
    assert config.incumbent is None


def test_without_a_log_it_starts_with_the_gateway(tmp_path):
    drafted = draft(DraftRequest(folder=tmp_path / "new", incumbent="gpt-4o-2024-08-06"))
    assert parse((tmp_path / "new/freehold.toml").read_text()).incumbent.model == "gpt-4o-2024-08-06"
    assert any("freehold up" in line for line in drafted.open)


def test_a_file_of_rejects_only_names_the_first(tmp_path):
    path = log(tmp_path / "t.jsonl", [chat("a", "")] * 3)
    with pytest.raises(InputError, match="no record could be used; line 1"):
        draft(DraftRequest(folder=tmp_path, files=(path,)))
    assert not (tmp_path / "freehold.toml").exists()


@pytest.mark.parametrize("name", ['a "b" \\ ü', "line\nbreak", "\x7f"])
def test_odd_names_survive(tmp_path, name):
    draft(DraftRequest(folder=tmp_path, name='a "b" ü', incumbent=name))
    config = parse((tmp_path / "freehold.toml").read_text())
    assert (config.app.name, config.incumbent.model) == ('a "b" ü', name)


@pytest.mark.parametrize(("name", "made"), [("..x", "-x"), ("a\\b", "a-b"), ("line\nbreak", "line-break")])
def test_an_application_takes_its_folders_name_as_far_as_it_can(tmp_path, name, made):
    folder = tmp_path / name
    folder.mkdir()
    draft(DraftRequest(folder=folder, incumbent="m"))
    assert parse((folder / "freehold.toml").read_text()).app.name == made


def test_a_name_that_cannot_name_a_folder_is_refused_before_a_file_is_written(tmp_path):
    with pytest.raises(ConfigError, match="cannot be the name of a folder"):
        draft(DraftRequest(folder=tmp_path, name="../x", incumbent="m"))
    assert not (tmp_path / "freehold.toml").exists()


def test_what_makes_no_valid_file_is_not_written(tmp_path):
    path = log(tmp_path / "t.jsonl", [chat("a", "b")] * 3)
    with pytest.raises(ConfigError):
        draft(DraftRequest(folder=tmp_path, files=(path,), data=DataConfig(answers="nonsense")))
    assert not (tmp_path / "freehold.toml").exists()


def test_fields_that_no_record_has_are_not_shown(tmp_path):
    bare = log(tmp_path / "bare.jsonl", [chat(f"text {n}", "yes") for n in range(3)])
    full = log(tmp_path / "full.jsonl", [chat(f"text {n}", "yes", conversation_id="c") for n in range(3)])
    seen = draft(DraftRequest(folder=tmp_path, files=(bare, full))).seen
    assert set(seen[0].mapping) == {"asked", "answer"}
    assert set(seen[1].mapping) == {"asked", "answer", "conversation"}
