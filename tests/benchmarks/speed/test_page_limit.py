"""The least that reading a page can cost, and what its stages reach."""

import json

import numpy as np
import pytest

from lettercast.benchmarks.pages.scenes import Scene
from lettercast.benchmarks.speed.camera_loop import one_thread
from lettercast.benchmarks.speed.growth import SEED, write_letters
from lettercast.benchmarks.speed.page_limit import COPY_BYTES, images_asked, measure_page, page_figure, page_table
from lettercast.runtime import Reader
from lettercast.runtime.page.find import FIND_TUNING

SIZE, LETTERS, MULTIPLICATIONS, PEAK = (1280, 960), 6, 2_000_000, 100.0


@pytest.fixture(scope="module")
def engine():
    return Reader("letters-nano").engine


@pytest.fixture(scope="module")
def page(engine):
    with one_thread():
        return measure_page(engine, MULTIPLICATIONS, PEAK, size=SIZE, letters=LETTERS, seconds=0)


def test_every_stage_has_the_bytes_of_its_images_and_the_network_its_products(page):
    stages = {stage.name: stage for stage in page.stages}
    pixels = FIND_TUNING.max_side_px * FIND_TUNING.max_side_px * 3 // 4
    assert stages["grey and smaller"].size_bytes == 3 * SIZE[0] * SIZE[1] + pixels
    assert stages["ink"].size_bytes == stages["rules"].size_bytes == 2 * pixels
    assert stages["network"].multiplications == page.images * MULTIPLICATIONS
    assert stages["network"].least_ms >= page.images * MULTIPLICATIONS / PEAK / 1e6
    assert stages["doubts, lines and words"].share == 0
    assert page.copy_gb_s > 0.1 and 10 * pixels < COPY_BYTES
    for stage in (*page.stages, page.whole):
        assert stage.ms >= 0
        assert stage.share == pytest.approx(stage.least_ms / stage.ms if stage.ms else 0)
    assert page.whole.least_ms == pytest.approx(sum(stage.least_ms for stage in page.stages))


def test_images_that_the_network_is_asked_about_hold_each_letter_once(engine):
    image = write_letters(LETTERS, Scene(), SIZE, SEED).image
    images = images_asked(engine, image)
    assert len(images) >= len(Reader(engine).read(image).letters) == LETTERS
    assert len(np.unique(images, axis=0)) == len(images)


def test_an_image_without_letters_asks_nothing(engine):
    assert len(images_asked(engine, np.full((240, 320, 3), 200, np.uint8))) == 0


def test_the_table_and_the_figure_have_a_row_for_each_stage(page):
    names = [*(stage.name for stage in page.stages), "whole page"]
    table = page_table(page)
    assert list(table.columns[0].cells) == names
    figure = page_figure(page)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == names
    figures = json.loads(json.dumps(page.to_dict()))
    assert [stage["name"] for stage in figures["stages"]] == names
