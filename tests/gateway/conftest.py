import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from loopback import _upstream, shared, upstream  # noqa: F401
