"""What `--json` prints, held against its schema: every document of every test, by a fixture of `tests/conftest.py`."""

import functools
import importlib.util
import json
import sys
from pathlib import Path

from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[1]


@functools.cache
def schemas():
    """`scripts/schemas.py`, which makes the schemas."""
    spec = importlib.util.spec_from_file_location("schemas", ROOT / "scripts" / "schemas.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@functools.cache
def validator(name):
    return Draft202012Validator(schemas().schema(name))


def check(text):
    """A document is what its schema says; returns it."""
    made = json.loads(text)
    faults = [
        f"{fault.json_path}: {fault.message[:300]}" for fault in validator(made["schema"]).iter_errors(made)
    ]
    assert not faults, f"{made['schema']}: {faults[:5]}"
    return made
