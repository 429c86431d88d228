from tests.console.static.conftest import browser

__all__ = ["browser"]
