"""What is installed, and what to do on each platform where something is not."""

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
    how_to_install,
    look_for,
    look_for_engine,
    missing,
    this_platform,
    what_is_missing,
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


def test_what_is_installed_is_found_with_its_version():
    found = look_for(NUMPY)
    assert (found.module, found.version, found.name) == (np, np.__version__, f"numpy {np.__version__}")
    assert what_is_missing(".tflite") == what_is_missing(".onnx") == []


def test_what_is_not_installed_is_told_from_what_does_not_import(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_package.py").write_text("raise RuntimeError('compiled for another NumPy')")
    (tmp_path / "half_package.py").write_text("import surely_absent")
    assert look_for(Package("Absent", "absent", "surely_absent.part")).fault == "not installed"
    assert look_for(Package("Broken", "broken", "broken_package")).fault == "does not import: compiled for another NumPy"
    assert look_for(Package("Half", "half", "half_package")).fault == "does not import: No module named 'surely_absent'"


def test_the_first_engine_that_can_be_imported_runs(monkeypatch):
    assert look_for_engine(".tflite").package == LITERT
    for package in ENGINES[".tflite"]:
        monkeypatch.setitem(sys.modules, package.module.partition(".")[0], None)
        monkeypatch.setitem(sys.modules, package.module, None)
    assert not look_for_engine(".tflite").module


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
        (LITERT, PI_32_NEW, "up to Python 3.11 (Raspberry Pi OS bookworm); or take the 64-bit system"),
        (LITERT, MAC, "~/letters/bin/pip install ai-edge-litert"),
        (LITERT, INTEL_MAC, "take an .onnx model and ONNX Runtime"),
        (LITERT, WINDOWS, "python -m pip install ai-edge-litert"),
        (LITERT, PI_VENV, f"{sys.executable} -m pip install ai-edge-litert"),
        (ONNX_RUNTIME, PI_32, "there is none for 32 bits; take a .tflite model"),
        (ONNX_RUNTIME, WINDOWS, "python -m pip install onnxruntime"),
    ],
)
def test_each_platform_gets_the_command_that_works_there(package, here, advice):
    said = how_to_install(package, here)
    assert advice in said
    assert "\n" not in said
    assert ("PEP 668" in said) == (here.is_managed and "~/letters" in said)


def test_a_pi_gets_the_packages_of_apt_within_its_venv_and_others_do_not():
    assert "sudo apt install python3-venv && " in how_to_install(LITERT, PI_64)
    assert "apt" not in how_to_install(LITERT, MAC)
    assert "--system-site-packages" not in how_to_install(LITERT, ARCH)


def test_faults_are_said_with_what_mends_them():
    absent, broken = Found(LITERT, fault="not installed"), Found(NUMPY, fault="does not import: bad magic")
    assert missing(absent, WINDOWS).startswith("an engine for TFLite models (LiteRT) is not installed: python -m pip")
    assert missing(broken, PI_64) == "NumPy does not import: bad magic: sudo apt install python3-numpy"
    libgl = Found(OPENCV, fault="does not import: libGL.so.1: cannot open shared object file")
    assert missing(libgl, PI_64).startswith("OpenCV lacks libGL here: apt install libgl1")


def test_this_platform_is_that_of_this_python():
    here = this_platform()
    assert (here.system, here.python, here.bits == 64) == (sys.platform, sys.version_info[:2], sys.maxsize > 2**32)
    assert here.is_venv == (sys.prefix != sys.base_prefix)
