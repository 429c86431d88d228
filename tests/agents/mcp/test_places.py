"""Which files an agent may name."""

import pytest

from freehold.agents.mcp.places import OutsideError, Places


@pytest.fixture
def places(tmp_path):
    root = tmp_path / "project"
    (root / "logs").mkdir(parents=True)
    (root / "logs" / "a.jsonl").write_text("{}")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "project-next").mkdir()
    return Places(root)


def test_inside_is_absolute_and_found(places):
    assert places.inside("logs/a.jsonl") == places.root / "logs" / "a.jsonl"
    assert places.inside(".") == places.root
    assert places.inside(str(places.root / "not-yet.jsonl")).name == "not-yet.jsonl"
    assert places.all_inside(["logs", "."]) == (places.root / "logs", places.root)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.txt",
        "/etc/passwd",
        "~/x",
        "logs/../../secret.txt",
        "../project-next",
        "a\0b",
        "~no.such.user/x",
        "a\ud800",
    ],
)
def test_outside_is_refused(places, name):
    with pytest.raises(OutsideError) as caught:
        places.inside(name)
    assert "secret\n" not in caught.value.message


def test_a_link_counts_as_where_it_leads(places):
    (places.root / "link").symlink_to(places.root.parent)
    with pytest.raises(OutsideError, match="outside the project's folder"):
        places.inside("link/secret.txt")


def test_folders_that_the_user_allowed(places):
    wider = Places(places.root, [places.root.parent / "project-next"])
    assert wider.inside("../project-next/x").name == "x"
    with pytest.raises(OutsideError):
        wider.inside("../secret.txt")


def test_models_are_ids_or_files_inside(places):
    assert places.model("Qwen/Qwen3-8B") == "Qwen/Qwen3-8B"
    assert places.model("logs/a.jsonl") == str(places.root / "logs" / "a.jsonl")
    for name in ("http://169.254.169.254/latest", "../secret.txt", "/etc/passwd", "file:///etc/passwd"):
        with pytest.raises(OutsideError):
            places.model(name)


def test_machines_are_words_or_files_inside(places):
    assert places.machine(None) is None
    assert places.machine("2x H100") == "2x H100"
    assert places.machine("machine.toml") == str(places.root / "machine.toml")
    with pytest.raises(OutsideError):
        places.machine("../machine.toml")
