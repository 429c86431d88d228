"""Make `catalog/fingerprints.json` from folders of licence texts, which are not part of this project.

Example:
    python scripts/make_license_fingerprints.py license_texts scancode/licensedcode/data/licenses
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from freehold.catalog.licenses import licenses
from freehold.licensing.identify import Fingerprint, fingerprint

TARGET = Path(__file__).parents[1] / "src" / "freehold" / "catalog" / "fingerprints.json"
SCANCODE, OURS = "LicenseRef-scancode-", "LicenseRef-freehold-"
LLAMA = {
    "llama-2": f"{SCANCODE}llama-2-license-2023",
    "llama-3": f"{OURS}llama-3",
    "llama-3.1": f"{SCANCODE}llama-3.1-license-2024",
    "llama-3.2": f"{SCANCODE}llama-3.2-license-2024",
    "llama-3.3": f"{SCANCODE}llama-3.3-license-2024",
    "llama-4": f"{SCANCODE}llama-4-cla-2025",
}
FILES: dict[str, str] = {
    **{f"{name}.txt": license_id for name, license_id in LLAMA.items()},
    **{f"{name.replace('-', '').replace('.', '_')}-use-policy.txt": ref for name, ref in LLAMA.items()},
    "apple-amlr.txt": f"{OURS}apple-amlr",
    "chatglm3.txt": f"{OURS}chatglm3",
    "codegeex4.txt": f"{OURS}codegeex4",
    "dbrx.txt": f"{OURS}databricks-open-model",
    "deepseek-la-1.0.txt": f"{SCANCODE}deepseek-la-1.0",
    "deepseek-r1-mit.txt": "MIT",
    "exaone-1.1-nc.txt": f"{SCANCODE}exaone-ai-model-1.1-nc",
    "exaone-1.2-nc.txt": f"{OURS}exaone-1.2-nc",
    "gemma-code-apache-2.0.txt": "Apache-2.0",
    "glm-4.5-code-apache.txt": "Apache-2.0",
    "grok-1-apache-2.0.txt": "Apache-2.0",
    "yi-apache-2.0.txt": "Apache-2.0",
    "gpt-oss-usage-policy.txt": f"{OURS}gpt-oss-usage-policy",
    "hunyuan-community.txt": f"{OURS}tencent-hunyuan-community-2025",
    "k-exaone.txt": f"{OURS}k-exaone",
    "kimi-k2.txt": f"{SCANCODE}moonshot-ai-modified-mit-2025",
    "kimi-k2.5.txt": f"{OURS}kimi-k2.5",
    "lfm-1.0.txt": f"{OURS}lfm-1.0",
    "minimax-m2.txt": f"{OURS}minimax-m2",
    "minimax-m2.5-code.txt": f"{OURS}minimax-m2.5",
    "minimax-m2.5-model.txt": f"{OURS}minimax-m2.5-model",
    "minimax-m2.7.txt": f"{OURS}minimax-m2.7-nc",
    "tongyi-qianwen-2023.txt": f"{SCANCODE}tongyi-qianwen-2023",
    "tongyi-qianwen-research-2023.txt": f"{OURS}tongyi-qianwen-research-2023",
    "yi-2.1.txt": f"{OURS}yi-2.1",
}
PLAIN = {
    "apache-2.0": "Apache-2.0", "mit": "MIT", "bsd-new": "BSD-3-Clause", "bsd-simplified": "BSD-2-Clause",
    "cc-by-4.0": "CC-BY-4.0", "cc-by-sa-4.0": "CC-BY-SA-4.0", "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "cc-by-nc-sa-4.0": "CC-BY-NC-SA-4.0", "cc0-1.0": "CC0-1.0", "odc-by-1.0": "ODC-By-1.0",
    "openmdw-1.0": "OpenMDW-1.0", "llama-4-license-2025": f"{SCANCODE}llama-4-cla-2025",
}  # fmt: skip


def main(folders: list[str]) -> None:
    """Read every text that belongs to a licence of the catalog and write the fingerprints."""
    prints: dict[tuple[str, str], Fingerprint] = {}
    for folder in map(Path, folders):
        for path in sorted(folder.iterdir()):
            found = license_of(path)
            if found is None:
                continue
            text = path.read_text(encoding="utf-8")
            if path.suffix == ".LICENSE":
                text = text.split("\n---", 1)[1].partition("\n")[2]
            policy = "policy" in path.name or path.stem == "llama-4-license-2025"
            title = licenses()[found].name + (" (use policy)" if policy else "")
            made = fingerprint(
                text,
                license_id=found,
                title=title,
                role="policy" if policy else "license",
                source=f"{folder.name}/{path.name}",
            )
            prints.setdefault((found, made.whole), made)
    TARGET.write_bytes(b"[\n" + b",\n".join(msgspec.json.encode(one) for one in prints.values()) + b"\n]\n")
    sys.stdout.write(f"{len(prints)} fingerprints in {TARGET}\n")


def license_of(path: Path) -> str | None:
    """The catalog's licence a file of one of the two known layouts holds, or None."""
    if path.suffix == ".LICENSE":
        scancode = f"{SCANCODE}{path.stem}"
        return PLAIN.get(path.stem) or (scancode if scancode in licenses() else None)
    return FILES.get(path.name)


if __name__ == "__main__":
    main(sys.argv[1:])
