"""Letters and non-letters cut out of generated pages."""

import numpy as np
import pytest

from lettercast.benchmarks.pages.found import Found, cut_letters, in_square, is_no_letter, main, share_inside
from lettercast.benchmarks.pages.scenes import Scene, photograph
from lettercast.benchmarks.pages.writing import open_hands
from lettercast.runtime import Reader
from lettercast.runtime.glyph import glyph
from lettercast.train.data.open import open_source
from lettercast.train.data.source import LETTERS


@pytest.fixture(scope="module")
def reader():
    return Reader("letters-nano")


@pytest.fixture(scope="module")
def hands():
    return open_hands("pen", "train")


def page(hands, **changes):
    writer, camera = np.random.default_rng(5).spawn(2)
    scene = Scene().change(max_letters=16, size=60.0, case="upper", **changes)
    return photograph(hands[0], scene, (640, 480), writer=writer, camera=camera)


def test_found_letters_have_the_labels_of_the_page_and_are_read_so(reader, hands):
    photo = page(hands)
    found = Found()
    found.add(reader, photo)
    assert len(found.letters) == len(photo.letters)
    assert sorted(LETTERS[label] for label in found.labels) == sorted(one.letter.upper() for one in photo.letters)
    probabilities = reader.engine(np.stack([glyph(image) for image in found.letters])[..., None])
    assert (probabilities.argmax(1) == found.labels).mean() > 0.8
    assert not found.others


def test_letters_that_touch_are_non_letters_and_letters_once_they_are_parted(reader, hands):
    found = Found()
    found.add(reader, page(hands, touching=1.0, spacing=0.2))
    assert found.others
    assert found.letters


@pytest.mark.parametrize(
    ("box", "expected"),
    [((0, 0, 10, 10), False), ((0, 0, 21, 10), True), ((40, 0, 5, 5), True), ((0, 0, 14, 10), False)],
    ids=["one letter", "two", "none", "one and a piece of another"],
)
def test_several_letters_or_none_are_no_letter(box, expected):
    assert is_no_letter(box, [(0, 0, 10, 10), (11, 0, 10, 10)]) == expected


def test_share_inside():
    assert share_inside((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(0.5)
    assert share_inside((0, 0, 10, 10), (20, 0, 10, 10)) == 0


@pytest.mark.parametrize("shape", [(20, 10), (300, 30), (1, 500)])
def test_ink_is_in_the_middle_of_its_square(shape):
    square = in_square(np.full(shape, 255, np.uint8))
    assert square.shape == (56, 56)
    rows, columns = np.nonzero(square)
    assert abs(rows.mean() - 27.5) <= 0.5
    assert abs(columns.mean() - 27.5) <= 0.5
    assert max(np.ptp(rows), np.ptp(columns)) <= 52


def test_the_seed_decides_the_pages(reader, hands):
    first, again, other = (cut_letters(reader, [hands], 20, seed) for seed in (1, 1, 2))
    assert len(first.letters) >= 20
    assert first.labels == again.labels
    assert all((a == b).all() for a, b in zip(first.letters, again.letters, strict=True))
    assert len(first.letters) != len(other.letters) or any(
        (a != b).any() for a, b in zip(first.letters, other.letters, strict=True)
    )


def test_command_writes_what_training_takes(tmp_path, capsys):
    letters, others = tmp_path / "letters.npz", tmp_path / "others.npz"
    assert main([str(letters), str(others), "--letters", "60", "--model", "letters-nano", "--seed", "3"]) == 0
    assert "letters; " in capsys.readouterr().out
    source = open_source(letters, "train")
    assert source.classes == LETTERS
    assert len(source.labels) >= 60
    assert others.exists()
    assert open_source(others, "train").image(0, None).any()


def test_data_without_strokes_is_refused(tmp_path, capsys):
    assert main([str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), "--data", "sklearn-digits"]) == 2
    assert "only pen or an .npz of strokes can write pages" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
