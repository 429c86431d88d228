"""Sentence vectors of a trained encoder's folder (see `freehold.types.encoder`), by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from freehold.errors import MissingExtraError, StorageError
from freehold.types.encoder import EncoderManifest

MANIFEST, MODEL, TOKENIZER = "encoder.json", "model.onnx", "tokenizer.json"
READ_FILES = (MANIFEST, MODEL, TOKENIZER)
"""What of the folder decides the vectors."""
_BATCH = 32


class SentenceVectors:
    """One encoder in memory. `threads` are those of one call.

    Raises `MissingExtraError` without ONNX Runtime, `StorageError` for a folder that holds no encoder it runs.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        runtime, tokenizers = _libraries()
        try:
            self._manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=EncoderManifest)
            if self._manifest.runs_on != "onnx":
                raise StorageError(
                    f"{folder}: an encoder of the kind {self._manifest.runs_on} finds no examples"
                )
            self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / TOKENIZER))
            options = runtime.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
            # Threads that spin take cores from what answers requests.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            self._session: Any = runtime.InferenceSession(
                str(folder / MODEL), options, providers=["CPUExecutionProvider"]
            )
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 (both libraries raise bare exceptions of their own)
            raise StorageError(f"{folder}: the encoder cannot be read: {error}") from None
        self._tokenizer.enable_truncation(self._manifest.max_tokens)
        padding = self._tokenizer.token_to_id("[PAD]") or self._tokenizer.token_to_id("<pad>") or 0
        self._tokenizer.enable_padding(pad_id=padding)

    def of(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """A vector of length 1 for each text, one a row."""
        rows = [self._some(texts[start : start + _BATCH]) for start in range(0, len(texts), _BATCH)]
        vectors = np.concatenate(rows) if rows else np.zeros((0, self._manifest.width), dtype=np.float32)
        return np.asarray(
            vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), dtype=np.float32
        )

    def _some(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        cut = self._tokenizer.encode_batch([self._manifest.prefix + text for text in texts])
        given = {
            "input_ids": np.array([one.ids for one in cut], dtype=np.int64),
            "attention_mask": np.array([one.attention_mask for one in cut], dtype=np.int64),
        }
        return np.asarray(self._session.run(["embedding"], given)[0], dtype=np.float32)


def _libraries() -> tuple[Any, Any]:
    try:
        import onnxruntime
        import tokenizers
    except ImportError:
        raise MissingExtraError("finding examples by their meaning", "encoder-server") from None
    return onnxruntime, tokenizers
