"""Expected values from outside: every file named in FREEHOLD_VECTORS (default: the shared folder's)."""

import json
import os
from pathlib import Path

import pytest
from tests.stats.vectors import LEFT_OUT, METHODS, is_other_rule

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("FREEHOLD_TEST_SHARED") or ROOT.parent / "shared")
NAMED = [Path(part) for part in os.environ.get("FREEHOLD_VECTORS", "").split(os.pathsep) if part]
FILES = NAMED or [SHARED / "statistics_vectors.json"]


def cases():
    for path in FILES:
        if not path.exists() and path not in NAMED:
            yield pytest.param(None, None, marks=pytest.mark.skip(reason=f"{path} is absent"))
            continue
        content = json.loads(path.read_text(encoding="utf-8"))
        vectors = content["vectors"] if isinstance(content, dict) else content
        for vector in vectors:
            if vector["method"] in LEFT_OUT or is_other_rule(vector):
                continue
            yield pytest.param(path, vector, id=f"{path.stem}-{vector['id']}-{vector['method']}")


def tolerance_of(vector, name):
    tolerance = vector.get("tolerance", 0)
    if isinstance(tolerance, dict):
        return tolerance.get(name, tolerance.get("default", 0))
    return tolerance


def compare(expected, actual, tolerance, where):
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert key in actual, f"{where}.{key} is missing"
            compare(value, actual[key], tolerance, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(actual) == len(expected), where
        for i, (one, two) in enumerate(zip(expected, actual, strict=True)):
            compare(one, two, tolerance, f"{where}[{i}]")
    elif expected is None or isinstance(expected, str | bool):
        assert actual == expected, where
    else:
        assert actual is not None, where
        assert abs(actual - expected) <= tolerance + 1e-15, f"{where}: {actual} is not {expected}"


@pytest.mark.parametrize(("path", "vector"), list(cases()))
def test_vector(path, vector):
    method = vector["method"]
    assert method in METHODS, f"{path}: no function for method {method}"
    actual = METHODS[method](vector["inputs"])
    for name, expected in vector["expected"].items():
        if name in {"icc_anova", "durkalski_type_chi2", "upper_best", "bh"}:
            continue  # none of them decides anything
        assert name in actual, f"{vector['id']}: {method} gives no {name}"
        compare(expected, actual[name], tolerance_of(vector, name), f"{vector['id']}.{name}")
