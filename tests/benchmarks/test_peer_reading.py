"""Readers of text on the same pages and letters."""

import numpy as np
import pytest

from lettercast.benchmarks.pages.scoring import read_labels
from lettercast.benchmarks.peers.ocr import AS_IT_COMES, Peer, open_peers
from lettercast.benchmarks.peers.run import NamedPage, compare_letters, compare_pages, own_peer, some_letters
from lettercast.runtime.arguments import device_model
from lettercast.runtime.sources.images import read_image
from lettercast.train.data.open import open_source

BASE = device_model("letters-base")
CARDS = ("2024_frame_3.jpg", "2024_frame_12.jpg", "2025_frame_7.jpg")


def silent(said: str) -> None:
    """Report nothing."""


def test_a_reader_of_nothing_errs_on_every_letter_and_ours_on_none(draw_page):
    page = NamedPage("page", "ABC|DEF", draw_page("ABC", "DEF")[0])
    ours, mute = compare_pages([own_peer(BASE), Peer("mute", AS_IT_COMES, lambda _: "")], [page, page], 2, silent)
    assert (ours.pages.cer, mute.pages.cer) == (0, 1)
    assert ours.pages.pages[0].read == "ABC|DEF"
    assert ours.ms > mute.ms >= 0
    assert ours.empty_ms > mute.empty_ms


def test_every_page_is_read_by_every_reader_in_every_round_and_a_white_one_too():
    seen = []
    peers = [Peer(name, AS_IT_COMES, lambda page, name=name: seen.append((name, int(page[0, 0, 0]))) or "") for name in "ab"]
    pages = [NamedPage(str(shade), "A", np.full((4, 4, 3), shade, np.uint8)) for shade in (1, 2)]
    compare_pages(peers, pages, 2, silent)
    assert seen == 2 * [("a", 1), ("a", 2), ("b", 1), ("b", 2), ("a", 255), ("b", 255)]


def test_only_the_first_letter_counts_and_who_reads_pages_only_has_no_row():
    inks, truth = some_letters(open_source("pen", "test"), 52)
    peers = [
        own_peer(BASE),
        Peer("pages only", AS_IT_COMES, lambda _: ""),
        Peer("always E", AS_IT_COMES, lambda _: "", lambda _: "EX"),
    ]
    ours, stuck = compare_letters(peers, inks, truth)
    assert (ours.letters, stuck.letters, stuck.peer) == (52, 52, "always E")
    assert stuck.wrong == 52 - truth.count("E")
    assert ours.error < 0.15


def test_of_real_cards_ours_reads_more_than_any_peer_as_it_comes(shared):
    others = [peer for peer in open_peers()[0] if peer.setting == AS_IT_COMES]
    if not others:
        pytest.skip("no peer is installed: pip install 'lettercast[peers]'; apt install tesseract-ocr")
    folder = shared / "cards"
    pages = [
        NamedPage(file, text, read_image(folder / file)) for file, text in read_labels(folder / "labels.csv") if file in CARDS
    ]
    ours, *rest = compare_pages([own_peer(BASE), *others], pages, 1, silent)
    assert len(pages) == len(CARDS)
    assert all(ours.pages.cer < row.pages.cer for row in rest)
