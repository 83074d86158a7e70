"""Other readers of text: their input, their output, and whether they are installed."""

import sys

import cv2
import numpy as np
import pytest

from lettercast.benchmarks.peers.ocr import (
    AS_IT_COMES,
    AT_ITS_BEST,
    LETTER_PX,
    LOOK_ALIKES,
    PEER_PACKAGES,
    even_light,
    in_rows,
    letter_image,
    letters_only,
    open_peers,
)

PRINTED = "READING"


@pytest.fixture(scope="module")
def printed() -> np.ndarray:
    """A page with one printed word that every reader of text can read."""
    page = np.full((300, 900, 3), 245, np.uint8)
    cv2.putText(page, PRINTED, (60, 190), cv2.FONT_HERSHEY_DUPLEX, 4.0, (30, 30, 30), 7, cv2.LINE_AA)
    return page


@pytest.fixture(scope="module", params=PEER_PACKAGES, ids=lambda package: package.name)
def peers(request):
    """The peers of each installed package."""
    if not request.param.is_installed():
        pytest.skip(f"not installed: {request.param.install}")
    return request.param.open()


def test_an_installed_peer_reads_a_printed_page_in_both_settings(peers, printed):
    assert [peer.setting for peer in peers] == [AS_IT_COMES, AT_ITS_BEST]
    assert [peer.read_page(printed) for peer in peers] == [PRINTED, PRINTED]
    assert len({peer.name for peer in peers}) == 1


def test_an_installed_peer_reads_printed_letters_and_nothing_on_a_white_page(peers):
    best = peers[-1]
    for letter in "EKR":
        ink = np.zeros((120, 120), np.uint8)
        cv2.putText(ink, letter, (20, 95), cv2.FONT_HERSHEY_DUPLEX, 3.0, 255, 7, cv2.LINE_AA)
        assert best.read_letter(ink) == letter
    assert best.read_page(np.full((300, 400, 3), 255, np.uint8)) == ""


def test_missing_peers_are_named_with_how_to_install_them(monkeypatch):
    monkeypatch.setenv("PATH", "")
    for module in ("tesserocr", "rapidocr", "rapidocr_onnxruntime"):
        monkeypatch.setitem(sys.modules, module, None)
    peers, absent = open_peers()
    assert peers == []
    assert set(absent) == {package.name for package in PEER_PACKAGES}
    assert all(why.startswith("not installed: ") and "install " in why.removeprefix("not installed: ") for why in absent.values())


def test_a_broken_peer_is_left_out_with_its_reason(monkeypatch, tmp_path):
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


def test_only_letters_count_and_optionally_digits_that_look_like_letters():
    assert letters_only(" a.b\n\n7 -\nC1") == "AB\nC"
    assert letters_only("K0LM1", LOOK_ALIKES) == "KOLMI"
    assert letters_only("\N{FULLWIDTH LATIN CAPITAL LETTER A}B\N{CJK UNIFIED IDEOGRAPH-4E86}") == "AB"


def test_letters_at_different_heights_stay_in_their_row():
    def box(x: float, y: float) -> np.ndarray:
        return np.array([[x, y], [x + 40, y], [x + 40, y + 60], [x, y + 60]])

    boxes = [box(100, 0), box(0, 18), box(200, 12), box(0, 90), box(100, 75)]
    assert in_rows(boxes, list("BACDE")) == "ABC\nDE"


def test_even_light_removes_shadows_and_keeps_the_writing():
    page = np.full((400, 600), 220, np.uint8)
    page[:, 300:] = 110
    for x in (150, 450):
        cv2.putText(page, "A", (x, 250), cv2.FONT_HERSHEY_DUPLEX, 3.0, 20, 8)
    even = even_light(page)
    paper = [np.median(even[:, part]) for part in (slice(0, 250), slice(350, 600))]
    assert min(paper) > 240
    assert (even[180:250, 150:220] < 100).sum() > 300
    assert (even[180:250, 450:520] < 100).sum() > 300


@pytest.mark.parametrize("side", [28, 200])
def test_a_letter_of_any_size_is_shown_black_on_white_at_one_height(side):
    ink = np.zeros((side, side), np.uint8)
    ink[side // 4 : side // 2, side // 4 : side // 3] = 255
    image = letter_image(ink)
    dark = cv2.boundingRect((image < 128).astype(np.uint8))
    assert dark[3] == pytest.approx(LETTER_PX, abs=2)
    assert image[0].min() == image[:, 0].min() == 255
    assert image.min() < 20


def test_an_image_without_ink_is_white():
    assert letter_image(np.zeros((28, 28), np.uint8)).min() == 255
