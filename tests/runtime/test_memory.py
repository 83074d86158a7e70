"""The memory of one image serves the next one."""

import platform
import subprocess
import sys

import pytest

# A process of its own, because what glibc keeps depends on all that was freed before.
FAULTS = """
import resource
import numpy as np
from lettercast.runtime.pixels import keep_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

keep_memory()
for number in range(4):
    before = faults()
    arrays = [np.ones(1 << 20, np.uint8) for _ in range(6)]
    del arrays
print(faults() - before)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or sys.maxsize < 1 << 32, reason="other C libraries, and 32 bits, do as they please"
)
def test_arrays_of_a_second_image_take_hardly_any_new_memory():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    # Pages of 4 KB, of which the arrays have 1536; without `keep_memory` all are new.
    assert int(done.stdout) < 100
