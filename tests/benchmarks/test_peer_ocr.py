"""Other readers of text: they read where they are installed, and are named where they are not."""

import sys

import cv2
import numpy as np
import pytest

from lettercast.benchmarks.peers.ocr import AS_IT_COMES, AT_ITS_BEST, OFFERS, open_peers

PRINTED = "READING"


@pytest.fixture(scope="module")
def printed() -> np.ndarray:
    """A page with one printed word, which every reader of text reads."""
    page = np.full((300, 900, 3), 245, np.uint8)
    cv2.putText(page, PRINTED, (60, 190), cv2.FONT_HERSHEY_DUPLEX, 4.0, (30, 30, 30), 7, cv2.LINE_AA)
    return page


@pytest.fixture(scope="module", params=OFFERS, ids=lambda offer: offer.name)
def peers(request):
    """What is opened by each package, where it is installed."""
    if not request.param.is_there():
        pytest.skip(f"not installed: {request.param.install}")
    return request.param.open()


def test_an_installed_peer_reads_a_printed_page_in_both_settings(peers, printed):
    assert [peer.setting for peer in peers] == [AS_IT_COMES, AT_ITS_BEST]
    assert [peer.read_page(printed) for peer in peers] == [PRINTED, PRINTED]
    assert len({peer.name for peer in peers}) == 1


def test_an_installed_peer_reads_printed_letters_and_says_nothing_of_a_white_page(peers):
    best = peers[-1]
    for letter in "EKR":
        ink = np.zeros((120, 120), np.uint8)
        cv2.putText(ink, letter, (20, 95), cv2.FONT_HERSHEY_DUPLEX, 3.0, 255, 7, cv2.LINE_AA)
        assert best.read_letter(ink) == letter
    assert best.read_page(np.full((300, 400, 3), 255, np.uint8)) == ""


def test_what_is_not_installed_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    for module in ("tesserocr", "rapidocr", "rapidocr_onnxruntime"):
        monkeypatch.setitem(sys.modules, module, None)
    peers, absent = open_peers()
    assert peers == []
    assert set(absent) == {offer.name for offer in OFFERS}
    assert all(why.startswith("not installed: ") and "install " in why.removeprefix("not installed: ") for why in absent.values())


def test_a_peer_that_is_installed_and_broken_is_left_out_with_its_reason(monkeypatch, tmp_path):
    command = tmp_path / "tesseract"
    command.write_text(
        f"#!{sys.executable}\nimport sys\nprint('eng' if '--list-langs' in sys.argv else 'x 1')\nsys.exit('-l' in sys.argv)"
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for module in ("tesserocr", "rapidocr", "rapidocr_onnxruntime"):
        monkeypatch.setitem(sys.modules, module, None)
    peers, absent = open_peers()
    assert peers == []
    assert absent["Tesseract"].startswith("does not run: ")
