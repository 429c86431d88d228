"""Credentials of clouds that end or sign: where they come from, how they are kept fresh, what a request carries."""
