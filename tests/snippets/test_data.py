"""Every TOML, YAML, JSON and Containerfile that the documentation shows is taken by what reads it."""

import json
import re

import jsonschema
import msgspec
import pytest
import yaml
from tests.deploy.containerfile import CONTAINERFILE, stages
from tests.snippets import blocks

from freehold.errors import ConfigError
from freehold.settings import load
from freehold.types.config_file import parse
from freehold.types.license import DutyClause, License, OutputsClause, ThresholdClause
from freehold.workflows.fit.machine import find_machine

HOUSE = """
[[endpoints]]
name = "house"
base_url = "http://10.0.0.7:8000/v1"
models = ["writer"]
"""
"""The endpoint that guides name without saying it again."""


def config_of(block):
    """A whole `freehold.toml`: what a guide shows a part of, with the tables that it takes for granted."""
    text = (
        block.text if re.search(r"^\[app\]", block.text, re.MULTILINE) else f'[app]\nname = "x"\n{block.text}'
    )
    return text if 'name = "house"' in text or '"house' not in text else text + HOUSE


TABLES = [one for one in blocks.blocks("toml") if one.text.lstrip().startswith(("[", "# freehold.toml"))]
OTHER_TOML = [one for one in blocks.blocks("toml") if one not in TABLES]


def test_a_part_of_freehold_toml_is_one():
    for block in TABLES:
        parse(config_of(block), path=block.name)


def test_a_key_that_is_wrong_is_found():
    block = blocks.Block("x.md", 1, "toml", "[capture]\nmode = 'patterns'\nretention = 3\n")
    with pytest.raises(ConfigError, match="retention"):
        parse(config_of(block))


def test_the_other_toml_is_a_licence_and_a_machine(tmp_path):
    licence, machine = sorted(OTHER_TOML, key=lambda one: one.page)
    assert (licence.page, machine.page) == ("docs/adding/a-license.md", "docs/guides/choose.md")
    read = msgspec.toml.decode(licence.text, type=License)
    assert [type(one) for one in read.clauses] == [ThresholdClause, DutyClause, OutputsClause]
    path = tmp_path / "box.toml"
    path.write_text(machine.text)
    found = find_machine(str(path), load())
    assert len(found.accelerators) == 2 and found.memory_bytes == 64 * 2**30


def test_yaml_is_read_by_its_schema_or_names_what_is_there():
    schema = json.loads((blocks.ROOT / "deploy/helm/freehold/values.schema.json").read_text())
    defaults = yaml.safe_load((blocks.ROOT / "deploy/helm/freehold/values.yaml").read_text())
    for block in blocks.blocks("yaml"):
        read = yaml.safe_load(block.text)
        if block.page == "docs/guides/container.md":
            jsonschema.validate({**defaults, **read}, schema)
            assert set(read) <= set(defaults), block.name
            if "config" in read:
                parse(read["config"])
        elif block.page == "docs/guides/monitoring.md":
            (job,) = read["scrape_configs"]
            assert job["job_name"] == "freehold"
            assert (blocks.ROOT / "deploy/prometheus" / read["rule_files"][0]).exists()
        else:
            assert inputs_named(read), block.name


def inputs_named(read):
    """The inputs of actions, templates and hooks, each of which has to be there."""
    if isinstance(read, dict) and "jobs" in read:
        return all(inputs_named(job["steps"]) for job in read["jobs"].values())
    if isinstance(read, dict) and "include" in read:
        (template,) = read["include"]
        first = next(yaml.safe_load_all((blocks.ROOT / "check" / "gitlab.yml").read_text()))
        return set(template["inputs"]) <= set(first["spec"]["inputs"])
    named = []
    for step in read:
        if "repo" in step:
            hooks = yaml.safe_load((blocks.ROOT / ".pre-commit-hooks.yaml").read_text())
            named.append({one["id"] for one in step["hooks"]} <= {one["id"] for one in hooks})
        elif step["uses"].startswith("your-organization/freehold"):
            folder = step["uses"].partition("@")[0].removeprefix("your-organization/freehold").lstrip("/")
            action = yaml.safe_load((blocks.ROOT / folder / "action.yml").read_text())
            named.append(set(step["with"]) <= set(action["inputs"]))
    return bool(named) and all(named)


def test_json_is_json():
    """One document, or one a line."""
    for block in blocks.blocks("json"):
        try:
            json.loads(block.text)
        except ValueError:
            for line in block.text.splitlines():
                json.loads(line)


def test_what_a_containerfile_builds_on_is_a_target():
    _, ours = stages(CONTAINERFILE.read_text())
    for block in blocks.blocks("dockerfile"):
        _, found = stages(block.text)
        for stage in found:
            name, _, target = stage.base.partition(":")
            assert name == "freehold" and target in {one.name for one in ours}
