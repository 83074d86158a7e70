"""How the reader's time grows with letters and pixels."""

import json

import numpy as np
import pytest

from lettercast.benchmarks.speed.camera_loop import STAGES
from lettercast.benchmarks.speed.growth import (
    CARD,
    GROWTH_PLAN,
    PAGE,
    PAGE_PX,
    Curve,
    GrowthPlan,
    Point,
    describe,
    fit_line,
    growth_figure,
    growth_tables,
    main,
    measure_growth,
    point_of,
    write_letters,
)
from lettercast.runtime import Reader


@pytest.fixture(scope="module")
def growth(tmp_path_factory):
    sizes = ((640, 480), (800, 600))
    plan = GrowthPlan(counts=(50, 100), letters_per_count=100, sizes=sizes, card_pages=2, rounds=2)
    return measure_growth(Reader(), tmp_path_factory.mktemp("pages"), plan)


@pytest.mark.parametrize("count", GROWTH_PLAN.counts)
def test_every_count_fits_on_the_page(count):
    # A quarter of the size has the same layout.
    photo = write_letters(count, PAGE, (PAGE_PX[0] // 4, PAGE_PX[1] // 4), seed=1)
    assert len(photo.letters) == count


def test_a_page_with_the_most_letters_has_its_size():
    photo = write_letters(500, PAGE, PAGE_PX, seed=1)
    assert len(photo.letters) == 500
    assert photo.image.shape == (PAGE_PX[1], PAGE_PX[0], 3)


def test_too_many_letters_for_a_page_are_an_error():
    with pytest.raises(ValueError, match="do not fit"):
        write_letters(500, CARD, (640, 480), seed=1)


def test_photographs_of_all_sizes_have_the_same_letters():
    small, large = (write_letters(15, CARD, size, seed=2) for size in ((640, 480), (1280, 960)))
    assert small.text == large.text
    for one, other in zip(small.letters, large.letters, strict=True):
        assert np.allclose(2 * np.array(one.box), other.box, atol=2)


def test_fewer_letters_are_on_more_pages():
    assert [GROWTH_PLAN.pages(count) for count in (1, 100, 500, 700)] == [20, 5, 1, 1]


def test_points_hold_every_round_of_every_page(growth):
    assert [(point.x, np.shape(point.rounds["drawing"])) for point in growth.letters.points] == [(50, (2, 2)), (100, (2, 1))]
    assert [point.x for point in growth.pixels.points] == pytest.approx([0.3072, 0.48])
    assert all(abs(point.found - point.x) <= 0.05 * point.x for point in growth.letters.points)
    assert all(point.found == pytest.approx(15, abs=1) for point in growth.pixels.points)


def test_figures_are_json_with_fits(growth):
    figures = json.loads(json.dumps(growth.to_dict()))
    assert figures["model"] == "letters-base"
    for curve in ("letters", "pixels"):
        assert set(figures[curve]["fits"]) == {*STAGES, "whole"}
        assert len(figures[curve]["points"]) == 2
        assert figures[curve]["points"][0]["ms"]["whole"] > 0


def test_the_figure_has_a_panel_for_each_curve_with_every_stage(growth):
    letters, pixels = growth_figure(growth).axes
    assert (letters.get_xlabel(), pixels.get_xlabel()) == ("letters", "megapixels")
    assert {text.get_text() for text in letters.get_legend().get_texts()} >= set(STAGES)


def test_the_tables_have_a_column_for_each_point(growth):
    tables = growth_tables(growth)
    assert [[column.header for column in table.columns] for table in tables] == [
        ["letters", "50", "100", "slope"],
        ["megapixels", "0.31", "0.48", "slope"],
    ]
    assert tables[0].row_count == len(STAGES) + 2


def test_a_broken_model_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "bad.tflite").write_bytes(b"TFL3")
    assert main(["--model", str(tmp_path / "bad.tflite")]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def rising(times) -> Curve:
    points = [Point(x, x, dict.fromkeys(STAGES, ((ms,),))) for x, ms in enumerate(times, 1)]
    return Curve("letters", tuple(points))


def test_a_perfect_line_has_no_residual():
    fit = fit_line(np.array([1.0, 10.0, 500.0]), np.array([5.5, 10.0, 255.0]))
    assert (fit.fixed, fit.slope, fit.r2) == pytest.approx((5.0, 0.5, 1.0))
    assert fit.largest_residual < 1e-9


def test_constant_times_are_a_level_line():
    fit = fit_line(np.array([1.0, 2.0, 3.0]), np.full(3, 4.0))
    assert (fit.fixed, fit.slope, fit.r2) == pytest.approx((4.0, 0.0, 1.0))


def test_short_times_count_like_long_ones():
    x = np.array([1.0, 2.0, 5.0, 10.0, 500.0])
    y = 5 + 0.5 * x
    y[0] *= 1.5
    assert 0.2 < fit_line(x, y).largest_residual < 0.5
    assert abs(fit_line(x, y).fixed - 5) > 0.2


def test_quadratic_growth_shows_in_the_residual():
    x = np.array(GROWTH_PLAN.counts, float)
    assert fit_line(x, 10 + x**2 / 100).largest_residual > 0.3


def test_a_point_is_the_mean_over_pages_of_their_medians():
    rounds = dict.fromkeys(STAGES, ((1.0, 5.0), (2.0, 5.0), (90.0, 5.0)))
    ms = Point(1, 1, rounds).ms
    assert ms["capture"] == pytest.approx(3.5)
    assert ms["whole"] == pytest.approx(3.5 * len(STAGES))


def test_the_line_is_described_with_its_units():
    said = describe(rising([1.0, 2.0, 3.0]))
    assert "0.00 ms + 6.000 ms per letter" in said.replace("-0.00", "0.00")
    assert "largest residual 0 %" in said


def test_times_by_page_become_times_by_round():
    pages = [[dict.fromkeys(STAGES, ms) for ms in page] for page in ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))]
    point = point_of(15, pages, [14, 15])
    assert point.rounds["capture"] == ((1.0, 4.0), (2.0, 5.0), (3.0, 6.0))
    assert (point.x, point.found) == (15, 14.5)
