"""Jobs that a test has done: good ones and hostile ones."""

import os
import re
import signal
import time


def backtrack(parts):
    re.search(rb"^(a+)+$", b"a" * 40 + b"!")
    return []


def memory(parts):
    return [b"x" * (4 << 30)]


def say(parts):
    return [str(os.getpid()).encode()]


JOBS = {
    "turn": lambda parts: [part[::-1] for part in parts],
    "say": say,
    "backtrack": backtrack,
    "memory": memory,
    "sleep": lambda parts: time.sleep(60) or [],
    "die": lambda parts: os.kill(os.getpid(), signal.SIGSEGV) or [],
    "raise": lambda parts: [parts[7]],
}
