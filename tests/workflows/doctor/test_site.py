from datetime import UTC, datetime

import pytest

from freehold.settings import load
from freehold.types.config import parse
from freehold.workflows.doctor.site import Site
from freehold.workflows.project import open_project


@pytest.mark.parametrize("more", ["", '[store]\nurl = "sqlite:///other.sqlite"\n[serve]\nport = 9000\n'])
def test_a_site_is_where_the_project_is_and_makes_nothing(tmp_path, monkeypatch, more):
    monkeypatch.chdir(tmp_path)
    text = f'[app]\nname = "x"\n{more}'
    path = tmp_path / "freehold.toml"
    path.write_text(text)
    site = Site(tmp_path, path, parse(text), load({}), datetime.now(UTC))
    state, url, port = site.state, site.store_url, site.port
    assert list(tmp_path.iterdir()) == [path]
    project = open_project(path)
    assert (state, url) == (project.state, project.store_url)
    assert project.gateway_url.endswith(f":{port}")
