"""Fuzz one parser, guided by coverage; inputs that make it fail are kept in the corpus, and the tests replay them.

    pip install atheris
    PYTHONPATH=tests python -m hostile.fuzz "TFLite facts" -max_total_time=300

Arguments after the name go to libFuzzer.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["lettercast"]):
    from hostile.targets import TARGETS, try_bytes

CORPUS = Path(__file__).with_name("corpus")


def main() -> None:
    """Fuzz the parser that the first argument names, starting from valid inputs."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"name a parser: {', '.join(TARGETS)}")
    name = sys.argv[1]
    target = TARGETS[name]

    def one(data: bytes) -> None:
        try:
            try_bytes(target, data)
        except Exception:
            kept = CORPUS / name / hashlib.sha256(data).hexdigest()[:16]
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(data)
            raise

    with tempfile.TemporaryDirectory() as folder:
        for i, seed in enumerate(target.seeds()):
            Path(folder, str(i)).write_bytes(seed)
        atheris.Setup([sys.argv[0], folder, *sys.argv[2:]], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
