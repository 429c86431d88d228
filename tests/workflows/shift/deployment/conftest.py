"""A project that is rendered."""

import pytest

from freehold.workflows.project import open_project

FILE = """
[app]
name = "support"
[incumbent]
model = "gpt-4o"
base_url = "https://api.example.com/v1"
api_key_env = "INCUMBENT_KEY"
[serve]
hosts = ["llm.example.com", "*.example.com"]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in ("FREEHOLD_HOME", "FREEHOLD_STATE", "FREEHOLD_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def opened(text=FILE):
        (tmp_path / "freehold.toml").write_text(text)
        return open_project(tmp_path / "freehold.toml")

    return opened
