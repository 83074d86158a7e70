"""What is installed, and how to install the rest on each platform."""

import sys

import numpy as np
import pytest

from lettercast.runtime.model.installed import (
    ENGINES,
    LITERT,
    NUMPY,
    ONNX_RUNTIME,
    OPENCV,
    Found,
    Package,
    Platform,
    describe_missing,
    describe_missing_packages,
    find_engine,
    find_package,
    how_to_install,
    this_platform,
)

PI_64 = Platform("linux", "aarch64", 64, (3, 11), is_apt=True, is_managed=True, is_venv=False)
PI_32 = Platform("linux", "armv7l", 32, (3, 11), is_apt=True, is_managed=True, is_venv=False)
PI_32_ON_64 = Platform("linux", "aarch64", 32, (3, 11), is_apt=True, is_managed=True, is_venv=False)
PI_32_NEW = Platform("linux", "armv7l", 32, (3, 13), is_apt=True, is_managed=True, is_venv=False)
PI_VENV = Platform("linux", "aarch64", 64, (3, 11), is_apt=False, is_managed=False, is_venv=True)
ARCH = Platform("linux", "x86_64", 64, (3, 13), is_apt=False, is_managed=True, is_venv=False)
MAC = Platform("darwin", "arm64", 64, (3, 12), is_apt=False, is_managed=True, is_venv=False)
INTEL_MAC = Platform("darwin", "x86_64", 64, (3, 12), is_apt=False, is_managed=False, is_venv=False)
WINDOWS = Platform("win32", "AMD64", 64, (3, 12), is_apt=False, is_managed=False, is_venv=False)


def test_an_installed_package_is_found_with_its_version():
    found = find_package(NUMPY)
    assert (found.module, found.version, found.name) == (np, np.__version__, f"numpy {np.__version__}")
    assert describe_missing_packages(".tflite") == describe_missing_packages(".onnx") == []


def test_a_missing_package_is_distinguished_from_a_broken_one(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_package.py").write_text("raise RuntimeError('compiled for another NumPy')")
    (tmp_path / "half_package.py").write_text("import surely_absent")
    assert find_package(Package("Absent", "absent", "surely_absent.part")).fault == "not installed"
    assert find_package(Package("Broken", "broken", "broken_package")).fault == "cannot be imported: compiled for another NumPy"
    assert find_package(Package("Half", "half", "half_package")).fault == "cannot be imported: No module named 'surely_absent'"


def test_the_first_engine_that_can_be_imported_is_used(monkeypatch):
    assert find_engine(".tflite").package == LITERT
    for package in ENGINES[".tflite"]:
        monkeypatch.setitem(sys.modules, package.module.partition(".")[0], None)
        monkeypatch.setitem(sys.modules, package.module, None)
    assert not find_engine(".tflite").module


@pytest.mark.parametrize(
    ("package", "here", "advice"),
    [
        (NUMPY, PI_64, "sudo apt install python3-numpy"),
        (OPENCV, PI_32, "sudo apt install python3-opencv"),
        (OPENCV, ARCH, "python3 -m venv ~/letters && ~/letters/bin/pip install opencv-python, then start with"),
        (
            LITERT,
            PI_64,
            "python3 -m venv --system-site-packages ~/letters && ~/letters/bin/pip install ai-edge-litert, then start",
        ),
        (LITERT, PI_32, "~/letters/bin/pip install tflite-runtime 'numpy<2', then start with ~/letters/bin/python"),
        (LITERT, PI_32_ON_64, "~/letters/bin/pip install tflite-runtime 'numpy<2'"),
        (LITERT, PI_32_NEW, "up to Python 3.11 (Raspberry Pi OS bookworm); or use an onnx-float32 file, which OpenCV runs"),
        (LITERT, MAC, "~/letters/bin/pip install ai-edge-litert"),
        (LITERT, INTEL_MAC, "use an .onnx model and ONNX Runtime"),
        (LITERT, WINDOWS, "python -m pip install ai-edge-litert"),
        (LITERT, PI_VENV, f"{sys.executable} -m pip install ai-edge-litert"),
        (ONNX_RUNTIME, PI_32, "ONNX Runtime has no 32-bit build; use an onnx-float32 file, which OpenCV runs"),
        (ONNX_RUNTIME, WINDOWS, "python -m pip install onnxruntime"),
    ],
)
def test_each_platform_gets_an_install_command_that_works_there(package, here, advice):
    line = how_to_install(package, here)
    assert advice in line
    assert "\n" not in line
    assert ("PEP 668" in line) == (here.is_managed and "~/letters" in line)


def test_only_a_pi_shares_the_packages_of_apt_with_its_venv():
    assert "sudo apt install python3-venv && " in how_to_install(LITERT, PI_64)
    assert "apt" not in how_to_install(LITERT, MAC)
    assert "--system-site-packages" not in how_to_install(LITERT, ARCH)


def test_a_missing_package_is_described_with_the_fix():
    absent, broken = Found(LITERT, fault="not installed"), Found(NUMPY, fault="cannot be imported: bad magic")
    assert describe_missing(absent, WINDOWS).startswith("an engine for TFLite models (LiteRT) is not installed: python -m pip")
    assert describe_missing(broken, PI_64) == "NumPy cannot be imported: bad magic: sudo apt install python3-numpy"
    libgl = Found(OPENCV, fault="cannot be imported: libGL.so.1: cannot open shared object file")
    assert describe_missing(libgl, PI_64).startswith("OpenCV lacks libGL here: apt install libgl1")


def test_this_platform_describes_this_python():
    here = this_platform()
    assert (here.system, here.python, here.bits == 64) == (sys.platform, sys.version_info[:2], sys.maxsize > 2**32)
    assert here.is_venv == (sys.prefix != sys.base_prefix)
