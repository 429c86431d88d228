"""From a dataset and a sentence encoder to one with heads that answer from closed sets.

`answers` tells what is answered, `base` loads the encoder, `frozen` embeds and fits heads, `tuned` trains the encoder
too, `worker` does it in a child process, and `output` writes the folder an `EncoderManifest` speaks of.
"""

from __future__ import annotations

from freehold.training.encoder.base import require
from freehold.training.encoder.job import EncoderJob, finished, make, read_record, stands
from freehold.training.encoder.prepared import check
from freehold.training.run import train

__all__ = ["EncoderJob", "check", "finished", "make", "read_record", "require", "stands", "train"]
