"""Links to other sites: each is asked, and told apart by what becomes of it."""

import http.server
import importlib.machinery
import importlib.util
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def script():
    loader = importlib.machinery.SourceFileLoader("links_script", str(ROOT / "scripts" / "links"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("links_script", loader))
    loader.exec_module(module)
    return module


class Site(http.server.BaseHTTPRequestHandler):
    """A path is the status that is answered; 302 leads to 200."""

    def do_GET(self):
        code = int(self.path.strip("/"))
        self.send_response(code)
        if code == 302:
            self.send_header("location", "/200")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *words):
        pass


@pytest.fixture
def site():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_links_are_found_with_their_pages_and_addresses_in_code_are_not(script, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("[a](https://a.example/x#y) and `https://code.example`\n")
    (tmp_path / "docs" / "b.md").write_text("<https://b.example> [a](https://a.example/x) [c](c.md)\n")
    assert script.linked(tmp_path) == {
        "https://a.example/x": ["README.md", "docs/b.md"],
        "https://b.example": ["docs/b.md"],
    }


@pytest.mark.parametrize(
    ("codes", "ends", "said"),
    [
        ((200, 302), 0, ""),
        ((200, 404), 1, "/404: gone (README.md)"),
        ((410,), 1, "/410: gone"),
        ((200, 403, 503), 0, "/503: status 503"),
    ],
)
def test_only_what_is_gone_fails(script, site, tmp_path, capsys, codes, ends, said):
    (tmp_path / "README.md").write_text("\n".join(f"[x]({site}/{code})" for code in codes))
    assert script.main(tmp_path) == ends
    assert said in capsys.readouterr().err
