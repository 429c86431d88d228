"""What child processes inherit of the environment: what they need to run, and no secret but those they are there for.

An engine reads strangers' prompts and strangers' weights in a program of millions of lines, a recorder takes apart what
strangers sent: keys of rented models, of hubs and of databases are of no use to them. A variable is passed on by its
name or the beginning of it, unless its name says that it is a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

NAMES = frozenset(
    (
        *(
            "PATH",
            "HOME",
            "USER",
            "LOGNAME",
            "SHELL",
            "LANG",
            "LANGUAGE",
            "TZ",
            "TERM",
            "TMPDIR",
            "TEMP",
            "TMP",
        ),
        *("PYTHONPATH", "PYTHONHOME", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "CC", "CXX"),
        *(
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "CURL_CA_BUNDLE",
            "REQUESTS_CA_BUNDLE",
            "NO_COLOR",
            "DO_NOT_TRACK",
        ),
        *("FREEHOLD_LOG", "FREEHOLD_HOME", "FREEHOLD_OFFLINE", "FREEHOLD_THREADS", "FREEHOLD_TRUST"),
        *("SYSTEMROOT", "COMSPEC", "PATHEXT", "USERPROFILE", "APPDATA", "LOCALAPPDATA"),
    )
)
BEGINNINGS = (
    *("LC_", "XDG_", "CUDA", "NVIDIA_", "NCCL_", "HIP_", "ROCR_", "ROCM_", "HSA_", "ONEAPI_", "SYCL_", "ZE_"),
    *("GGML_", "LLAMA_", "VLLM_", "HF_", "TRANSFORMERS_", "TORCH", "PYTORCH_", "TRITON_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "GLOO_", "MALLOC_", "COVERAGE_", "FREEHOLD_TEST_"),
)
_SECRET = re.compile(
    r"KEY|TOKEN(?!IZERS_PARALLELISM)|SECRET|PASS(WORD|WD|PHRASE)|CREDENTIAL|AUTH", re.IGNORECASE
)


PROXIES = tuple(
    form for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for form in (name, name.upper())
)
"""For processes that ask other hosts. They may hold a proxy's password."""


def inherited(environment: Mapping[str, str], *, also: Iterable[str] = ()) -> dict[str, str]:
    """The part of an environment that a child process is given. `also` are variables that it gets whatever they hold; a
    name with a ``*`` at its end stands for all that begin so."""
    also = tuple(also)
    names = {name for name in also if not name.endswith("*")}
    beginnings = tuple(name[:-1] for name in also if name.endswith("*"))
    return {
        name: value
        for name, value in environment.items()
        if name in names
        or (beginnings and name.startswith(beginnings))
        or ((name in NAMES or name.startswith(BEGINNINGS)) and not _SECRET.search(name))
    }
