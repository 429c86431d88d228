"""freehold: move an application off a rented model API onto an open-weight model, and prove it is safe."""

__version__ = "0.1.0"
