"""Conditions, their scenes, and the photographs of them."""

from dataclasses import fields

import cv2
import numpy as np
import pytest

from lettercast.benchmarks.pages.scenes import (
    ALL_AT_ONCE,
    CONDITIONS,
    MIXABLE,
    PHONE_PX,
    PLAIN,
    STRENGTHS,
    WEBCAM_PX,
    Scene,
    main,
    photograph,
    scene_of,
)
from lettercast.benchmarks.pages.writing import PenHand
from lettercast.runtime import Reader


def test_the_plain_page_is_the_default_scene():
    assert scene_of(PLAIN, "", np.random.default_rng(0)) == Scene()


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_strength_differs_from_the_plain_page(name):
    scenes = [scene_of(name, strength, np.random.default_rng(0)) for strength in STRENGTHS]
    assert all(scene != Scene() for scene in scenes)
    assert scenes[0] != scenes[1] != scenes[2]


def test_several_conditions_at_once_differ_from_page_to_page():
    scenes = [scene_of(ALL_AT_ONCE, "moderate", np.random.default_rng(seed)) for seed in range(4)]
    assert len({repr(scene) for scene in scenes}) == 4
    assert set(MIXABLE) < set(CONDITIONS)


LINES = ["AB CD", "EF"]
HARD = {"turn": 12.0, "tilt": 25.0, "bend": 0.02, "shadow": 0.4, "size": 50.0}


@pytest.fixture(scope="module")
def take(pen):
    def one(seed=0, text=LINES, photo_px=WEBCAM_PX, **changes):
        writer, camera = np.random.default_rng(5), np.random.default_rng(seed)
        return photograph(PenHand(pen), Scene().change(**changes), photo_px, writer=writer, camera=camera, text=text)

    return one


def test_fields_of_a_scene_have_different_names():
    names = [one.name for part in fields(Scene) for one in fields(getattr(Scene(), part.name))]
    assert len(names) == len(set(names))


def test_a_change_affects_only_its_field():
    scene = Scene().change(tilt=9.0, jpeg=20)
    assert (scene.view.tilt, scene.exposure.jpeg) == (9.0, 20)
    assert (scene.layout, scene.paper) == (Scene().layout, Scene().paper)
    with pytest.raises(TypeError, match="colour"):
        Scene().change(colour=1)


def test_a_photograph_knows_its_text_and_its_size(take):
    photo = take(photo_px=PHONE_PX)
    assert photo.image.shape == (960, 1280, 3) and photo.image.dtype == np.uint8
    assert photo.text == "AB CD\nEF"
    assert [(one.letter, one.line, one.word) for one in photo.letters] == [
        ("A", 0, 0), ("B", 0, 0), ("C", 0, 1), ("D", 0, 1), ("E", 1, 0), ("F", 1, 0),
    ]  # fmt: skip


@pytest.mark.parametrize("changes", [{}, HARD, {"desk": 0.1}])
def test_all_ink_is_inside_the_boxes(take, changes):
    sharp = {"noise": 0.0, "defocus": 0.3, "jpeg": 100, **changes}
    photo = take(**sharp)
    written, bare = (one.image.astype(int).min(2) for one in (photo, take(**sharp, cover=0.0)))
    inside = np.zeros(written.shape, bool)
    for one in photo.letters:
        x, y, w, h = one.box
        inside[int(y) - 1 : int(y + h) + 3, int(x) - 1 : int(x + w) + 3] = True
        own = written[round(y) : round(y + h), round(x) : round(x + w)]
        assert own.min() < 0.5 * np.percentile(own, 95)
    assert (np.abs(bare - written)[~inside] <= 6).all()


@pytest.mark.parametrize(("framing", "left"), [(0.02, 13), (0.0, 0), (-0.01, -6)])
def test_the_frame_may_come_close_to_the_writing(take, framing, left):
    boxes = np.array([one.box for one in take(framing=framing, pen=0.01).letters])
    assert boxes[:, 0].min() == pytest.approx(left, abs=1.5)
    assert boxes[:, 1].min() == pytest.approx(left, abs=1.5)
    assert (boxes[:, 0] + boxes[:, 2]).max() == pytest.approx(WEBCAM_PX[0] - left, abs=1.5)


def test_another_photograph_has_the_same_letters(take):
    one, other = take(seed=0, text=()), take(seed=1, text=(), turn=5.0)
    assert one.text == other.text
    assert (one.image != other.image).any()
    assert (take(text=()).image == one.image).all()


def test_a_clear_page_with_single_letters_is_read(take):
    photo = take(text=["A B C"], photo_px=PHONE_PX)
    assert Reader().read(photo.image).text.replace(" ", "") == "ABC"


def test_the_command_writes_an_image(tmp_path, capsys):
    assert main([str(tmp_path / "page.jpg"), "HAND"]) == 0
    assert cv2.imread(str(tmp_path / "page.jpg")).shape == (500, 1280, 3)
    assert "page.jpg" in capsys.readouterr().out
