"""The system of an emulated Pi."""

import os
import subprocess
import sys

import pytest

from lettercast import LettercastError
from lettercast.benchmarks import emulated_pi as guest
from lettercast.benchmarks.emulated_pi import READY, check_host, clear, default_root, must, open_guest


def test_a_half_made_system_is_cleared_and_another_folder_is_left_alone(tmp_path):
    half, other, empty = tmp_path / "half", tmp_path / "other", tmp_path / "empty"
    (half / "debootstrap").mkdir(parents=True)
    empty.mkdir()
    other.mkdir()
    (other / "letter.txt").write_text("mine")
    clear(half)
    clear(empty)
    clear(tmp_path / "not" / "there")
    assert not half.exists() and not empty.exists()
    with pytest.raises(LettercastError, match="holds something else"):
        clear(other)
    assert (other / "letter.txt").read_text() == "mine"


def test_what_is_missing_is_named_with_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LettercastError, match=r"debootstrap, qemu-aarch64-static.*apt install debootstrap"):
        check_host()


def test_it_takes_linux_and_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(LettercastError, match="needs root"):
        check_host()
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(LettercastError, match="needs Linux"):
        check_host()


def test_a_command_that_fails_is_told_by_its_last_line():
    must("nothing", sys.executable, "-c", "pass")
    with pytest.raises(LettercastError, match=r"Debian: python[\d.]* failed \(no mirror\); is there a network"):
        must("Debian", sys.executable, "-c", "import sys; print('trying'); sys.exit('no mirror')")


def test_a_system_whose_packages_cannot_be_had_is_never_taken_for_ready(monkeypatch, tmp_path):
    def half(root, mirror):
        (root / "debootstrap").mkdir(parents=True)
        raise LettercastError("Debian: no network")

    monkeypatch.setattr(guest, "check_host", lambda: None)
    monkeypatch.setattr(guest, "unpack_debian", half)
    for _ in range(2):
        with pytest.raises(LettercastError, match="no network"):
            open_guest(tmp_path / "root")
        assert not (tmp_path / "root" / READY).exists()


def test_it_is_kept_where_caches_are(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "lettercast" / "bookworm-arm64"


@pytest.fixture(scope="session")
def ready_guest():
    """The system that `python -m lettercast.benchmarks.emulated_pi` made on this machine."""
    if not (default_root() / READY).is_file():
        pytest.skip("no emulated Pi here: python -m lettercast.benchmarks.emulated_pi makes it")
    try:
        return open_guest(default_root())
    except LettercastError as error:
        pytest.skip(str(error))


def test_it_runs_arms_python_with_the_wheels(ready_guest):
    with ready_guest.folder() as folder:
        (folder / "hello.py").write_text("import platform, numpy, cv2; print(platform.machine(), numpy.arange(3).sum())")
        done = ready_guest.run(ready_guest.inside(folder / "hello.py"))
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.stdout.split() == ["aarch64", "3"], done.stderr
    assert not folder.exists()
