from pathlib import Path

import pytest

from freehold.errors import StorageError, UsageError
from freehold.workflows.tell import report
from freehold.workflows.tell.report import find_browser, print_pdf


def test_without_a_browser_the_way_out_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_browser() is None
    with pytest.raises(UsageError, match="no browser") as refused:
        print_pdf(tmp_path / "page.html", tmp_path / "page.pdf")
    assert "print it from there" in refused.value.hint


@pytest.mark.process
def test_a_browser_that_prints_nothing_is_an_error(tmp_path, monkeypatch):
    fake = tmp_path / "chromium"
    fake.write_text("#!/bin/sh\necho no display >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(report, "find_browser", lambda: str(fake))
    with pytest.raises(StorageError, match="did not print") as refused:
        print_pdf(tmp_path / "page.html", tmp_path / "page.pdf")
    assert refused.value.hint == "no display" and not (tmp_path / "page.pdf").exists()


@pytest.mark.browser
def test_a_page_is_printed_by_a_real_browser(tmp_path):
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("Debian's chromium is not installed")
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><title>x</title><p>A page")
    made = print_pdf(page, tmp_path / "out" / "page.pdf")
    assert made.read_bytes().startswith(b"%PDF") and made.stat().st_mode & 0o077 == 0
