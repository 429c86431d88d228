"""The model APIs as spoken on the wire: peek, translate, stream, errors."""
