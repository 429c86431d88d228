"""What `--json` prints, held against its schema: every document of every test, by a fixture of `tests/conftest.py`."""

import functools
import json

from jsonschema import Draft202012Validator
from tests.source import ROOT, script  # noqa: F401


def schemas():
    """`scripts/schemas.py`, which makes the schemas."""
    return script("schemas.py")


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
