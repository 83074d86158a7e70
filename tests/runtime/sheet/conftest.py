"""Sheets that the built-in pen fills in, and photographs of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from lettercast.benchmarks.pages.camera import Exposure
from lettercast.benchmarks.pages.filled_sheets import FilledSheet, Filling, fill_in, photograph_sheet
from lettercast.benchmarks.pages.paper import Paper, View
from lettercast.benchmarks.pages.writing import PenHand
from lettercast.runtime.sheet.layout import SheetPage, sheet_pages
from lettercast.train.data.pen import load_pen

WIDTH_PX = 1000
TILTED = View(turn=9.0, tilt=20.0, bend=0.004, desk=0.02)
SHADOW_AND_FOLD = Exposure(shadow=0.4, soft=8.0, folds=1, fold=0.15, defocus=1.2)


@dataclass(frozen=True)
class Taken:
    """A photograph as a file, and what is known of it."""

    path: Path
    sheet: FilledSheet


@pytest.fixture(scope="session")
def take() -> Callable[..., FilledSheet]:
    """Return a function that fills in a page and photographs it."""

    def make(page: SheetPage, seed: int = 0, view: View = TILTED, exposure: Exposure = SHADOW_AND_FOLD, **filling) -> FilledSheet:
        writer, camera = np.random.default_rng(seed).spawn(2)
        boxes = fill_in(page, PenHand(load_pen()), Filling(**filling), writer)
        return photograph_sheet(page, boxes, Paper(), view=view, exposure=exposure, rng=camera, width_px=WIDTH_PX)

    return make


@pytest.fixture(scope="session")
def taken(made_once, take) -> Taken:
    """A photograph of a tilted sheet with a shadow and a fold, made once for all processes."""

    def make(folder: Path) -> Taken:
        folder.mkdir()
        sheet = take(sheet_pages()[0])
        cv2.imwrite(str(folder / "photo.png"), sheet.image)
        return Taken(folder / "photo.png", sheet)

    return made_once("filled-sheet", make)
