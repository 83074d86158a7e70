"""The board and the processor of this machine, as Linux describes them."""

import re
from pathlib import Path

BOARD_FILE = Path("/proc/device-tree/model")
CPU_FILE = Path("/proc/cpuinfo")
# Any of them adds products of int8 in 32 bits, in the names of CPU_FILE.
VNNI = {"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8"}


def board() -> str:
    """Return the name of this board, such as a Raspberry Pi; "" if Linux knows none."""
    return read_if_there(BOARD_FILE).strip("\0 \n")


def cpu_info() -> str:
    """Return what Linux says about this processor, in the lines of /proc/cpuinfo; "" on other systems."""
    return read_if_there(CPU_FILE)


def info_line(info: str, *names: str) -> str:
    """Return the value of the first of these names in the text of /proc/cpuinfo; "" if it has none of them."""
    found = (re.search(rf"^{name}\s*:\s*(.+)$", info, re.MULTILINE) for name in names)
    return next((match[1].strip() for match in found if match), "")


def read_if_there(path: Path) -> str:
    """Return the text of a file of the system, "" if it cannot be read."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
