"""Root file systems of Debian for ARM: what is unpacked, and what is refused."""

import os
import sys

import pytest

from lettercast import LettercastError
from lettercast.benchmarks import arm_rootfs
from lettercast.benchmarks.arm_rootfs import (
    ARCHITECTURES,
    ENGINES_FROM_PIP,
    READY,
    RELEASES,
    System,
    apt_numpy,
    check_host,
    clear,
    default_root,
    is_ready,
    open_arm_rootfs,
    run_or_raise,
)
from lettercast.runtime.model.installed import TFLITE_RUNTIME


def test_an_incomplete_rootfs_is_removed_and_another_folder_is_not(tmp_path):
    half, other, empty = tmp_path / "half", tmp_path / "other", tmp_path / "empty"
    (half / "debootstrap").mkdir(parents=True)
    empty.mkdir()
    other.mkdir()
    (other / "letter.txt").write_text("mine")
    clear(half)
    clear(empty)
    clear(tmp_path / "not" / "there")
    assert not half.exists() and not empty.exists()
    with pytest.raises(LettercastError, match="holds other files"):
        clear(other)
    assert (other / "letter.txt").read_text() == "mine"


def test_missing_tools_are_named_with_how_to_install_them(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LettercastError, match=r"debootstrap, qemu-aarch64-static.*apt install debootstrap"):
        check_host(System())


def test_an_emulated_pi_needs_linux_and_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(LettercastError, match="needs root"):
        check_host(System())
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(LettercastError, match="needs Linux"):
        check_host(System())


def test_a_failed_command_is_reported_with_its_last_line():
    run_or_raise("nothing", sys.executable, "-c", "pass")
    with pytest.raises(LettercastError, match=r"Debian: python[\d.]* failed \(no mirror\); check the network"):
        run_or_raise("Debian", sys.executable, "-c", "import sys; print('trying'); sys.exit('no mirror')")


def test_a_rootfs_without_its_packages_is_never_ready(monkeypatch, tmp_path):
    def half(root, system, mirror):
        (root / "debootstrap").mkdir(parents=True)
        raise LettercastError("Debian: no network")

    monkeypatch.setattr(arm_rootfs, "check_host", lambda system: None)
    monkeypatch.setattr(arm_rootfs, "unpack_debian", half)
    for _ in range(2):
        with pytest.raises(LettercastError, match="no network"):
            open_arm_rootfs(tmp_path / "root", System())
        assert not (tmp_path / "root" / READY).exists()


def test_the_rootfs_is_kept_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root(System()) == tmp_path / "lettercast" / "bookworm-arm64"
    assert default_root(System("trixie", "armhf")) == tmp_path / "lettercast" / "trixie-armhf"


def test_every_release_and_architecture_has_its_engines():
    assert set(ENGINES_FROM_PIP) == {(release, architecture) for release in RELEASES for architecture in ARCHITECTURES}
    assert System("bookworm", "armhf").engines == (TFLITE_RUNTIME,)
    # Without an engine from pip, OpenCV is all that there is.
    assert System("trixie", "armhf").engines == ()


def test_a_rootfs_with_other_packages_is_made_anew(tmp_path):
    old, new = System("bookworm", "arm64"), System("trixie", "arm64")
    (tmp_path / READY).write_text(f"{old.contents}\n")
    assert is_ready(tmp_path, old) and not is_ready(tmp_path, new)
    (tmp_path / READY).write_text("numpy opencv-python-headless ai-edge-litert onnxruntime\n")
    assert not is_ready(tmp_path, old)


@pytest.mark.parametrize("name", ["numpy-1.24.2.egg-info", "numpy-2.2.4.dist-info"])
def test_the_version_of_apt_s_numpy_is_found(name, tmp_path):
    folder = tmp_path / "usr" / "lib" / "python3" / "dist-packages"
    with pytest.raises(LettercastError, match="no NumPy there"):
        apt_numpy(tmp_path)
    (folder / name).mkdir(parents=True)
    assert apt_numpy(tmp_path) == name.split("-")[1].rpartition(".")[0]
