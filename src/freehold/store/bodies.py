"""Bodies of traces: JSON, compressed. Prompts repeat themselves, so a quarter to a tenth is left."""

from __future__ import annotations

import threading

import msgspec
import zstandard

from freehold.types.trace import Trace

_LEVEL = 1
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Trace)


class _Codecs(threading.local):
    """zstandard's contexts may not be shared between threads, and are costly to make."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


_codecs = _Codecs()


def pack_trace(trace: Trace) -> bytes:
    """The bytes that are stored for a trace."""
    packed: bytes = _codecs.compressor.compress(_encoder.encode(trace))
    return packed


def unpack_trace(body: bytes) -> Trace:
    """The trace that `pack_trace` was given."""
    return _decoder.decode(_codecs.decompressor.decompress(body))
