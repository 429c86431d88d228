import subprocess
import sys

import pytest

from freehold import __version__

pytestmark = pytest.mark.process


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "freehold", "--version"], capture_output=True, text=True, check=True
    )
    assert __version__ in done.stdout
