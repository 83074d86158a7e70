"""What readers of text are compared on."""

import numpy as np
import pytest

from lettercast import LettercastError
from lettercast.benchmarks.pages.scoring import plain
from lettercast.benchmarks.peers.run import GENERATED, page_sets, some_letters
from lettercast.runtime.glyph import GLYPH_SHAPE, glyph
from lettercast.train.data.open import open_source, open_sources


def test_without_pages_there_are_the_example_and_generated_ones_the_same_every_time():
    sets, again = page_sets(None), page_sets(None)
    assert list(sets) == ["example page", "generated pages"]
    assert [page.name for page in sets["generated pages"]] == [condition for condition, _ in GENERATED]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(sets["generated pages"], again["generated pages"], strict=True))
    assert all(plain(page.text).isalpha() for pages in sets.values() for page in pages)


def test_a_folder_of_pages_or_its_label_file_comes_first(page_file):
    labels = page_file.parent / "labels.csv"
    labels.write_text(f"file,text\n{page_file.name},ABC|DEF\n")
    for given in (page_file.parent, labels):
        name, (page,) = next(iter(page_sets(given).items()))
        assert (name, page.text) == (page_file.parent.name, "ABC|DEF")


def test_a_folder_without_labels_is_refused(tmp_path):
    with pytest.raises(LettercastError, match="file and text"):
        page_sets(tmp_path)


def test_letters_are_larger_than_the_network_sees_them_and_the_same_letters(strokes_file):
    for spec in ("pen", str(strokes_file)):
        source = open_source(spec, "test")
        inks, truth = some_letters(source, 30)
        assert len(inks) == len(truth) == 30
        assert all(max(ink.shape) > GLYPH_SHAPE[0] for ink in inks)
        pictures = [source.picture(i, None) for i in range(len(source.labels))]
        found = next(i for i, one in enumerate(pictures) if np.array_equal(one, glyph(inks[0])))
        assert source.classes[source.labels[found]] == truth[0]


def test_fewer_letters_than_asked_for_are_all_taken(strokes_file):
    assert len(some_letters(open_source(str(strokes_file), "val"), 10_000)[0]) == 104


def test_several_sources_as_one_are_refused(strokes_file):
    with pytest.raises(LettercastError, match="one by one"):
        some_letters(open_sources(["pen", str(strokes_file)], "test"), 3)
