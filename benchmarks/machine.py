"""The machine that figures were measured on, and what makes them doubtful."""

import os
import platform
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

CPUINFO, MEMINFO = Path("/proc/cpuinfo"), Path("/proc/meminfo")
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
STEADY_GOVERNOR = "performance"
# Processes waiting or running per core, over the last minute, from which on others take time away.
BUSY = 0.5
# What decides how fast integers are multiplied.
VECTOR_FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8", "asimd", "asimddp", "i8mm", "sve")


@dataclass(frozen=True)
class Machine:
    """What a figure hangs on: processor, its vector instructions, cores that may be used, memory in MB, versions; and the
    frequency governor and the load (processes per core, last minute) when the measurement began, where they are known.
    """

    processor: str
    architecture: str
    vectors: tuple[str, ...]
    cores: int
    memory_mb: int | None
    system: str
    python: str
    numpy: str
    opencv: str
    governor: str | None
    load: float | None

    def doubts(self) -> list[str]:
        """Say what makes times on it doubtful, a line each."""
        said = []
        if self.governor not in (None, STEADY_GOVERNOR):
            mend = "sudo cpupower frequency-set -g performance"
            said.append(f"the CPU governor is '{self.governor}', so the clock may change: {mend}")
        if self.load is not None and self.load >= BUSY:
            said.append(f"others take time: a load of {self.load:.1f} a core when it began; ratios hold better than times")
        return said

    def to_dict(self) -> dict[str, Any]:
        """Return the machine as it stands in `lettercast benchmark --json`, with the doubts."""
        return {**asdict(self), "doubts": self.doubts()}

    def __str__(self) -> str:
        hardware = f"{self.processor} ({self.architecture}), cores: {self.cores}"
        return f"{hardware}, {self.system}, Python {self.python}, NumPy {self.numpy}"


def this_machine() -> Machine:
    """Describe this machine as it is now."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    info = read(CPUINFO)
    flags = set(info_line(info, "flags", "Features").split())
    memory = re.search(r"MemTotal:\s+(\d+) kB", read(MEMINFO))
    return Machine(
        processor=info_line(info, "model name", "Model") or platform.processor() or "unknown",
        architecture=platform.machine(),
        vectors=tuple(flag for flag in VECTOR_FLAGS if flag in flags),
        cores=cores,
        memory_mb=int(memory[1]) // 1024 if memory else None,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        numpy=np.__version__,
        opencv=cv2.__version__,
        governor=read(GOVERNOR).strip() or None,
        load=os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else None,
    )


def info_line(info: str, *names: str) -> str:
    """Return what Linux's account of the processors says under the first of these names that it has; "" where under none."""
    found = (re.search(rf"^{name}\s*:\s*(.+)$", info, re.MULTILINE) for name in names)
    return next((match[1].strip() for match in found if match), "")


def read(path: Path) -> str:
    """Return what Linux says there, "" where it says nothing."""
    try:
        return path.read_text()
    except OSError:
        return ""
