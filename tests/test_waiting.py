import subprocess
import sys

import pytest

# The signal goes to another thread, as one does that comes before the wait: nothing wakes the one that waits.
UNWOKEN = """
import os, signal, threading, time
from concurrent.futures import Future
from freehold.waiting import result_of

is_masked = threading.Event()

def interrupt():
    is_masked.wait()
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Thread(target=interrupt).start()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
try:
    is_masked.set()
    result_of(Future())
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.process
def test_ctrl_c_is_noticed_by_one_that_it_did_not_wake():
    done = subprocess.run([sys.executable, "-c", UNWOKEN], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "stopped\n"), done.stderr
