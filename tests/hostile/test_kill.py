"""Kill -9: a few times in each test run; the script does it a hundred times."""

import pytest
from hostile.kill import WORKS, kill_often


@pytest.mark.parametrize("name", ["record", "snapshot"])
def test_nothing_is_broken_under_its_final_name(name):
    assert kill_often(WORKS[name], 6, 0) == []


@pytest.mark.parametrize(("name", "file"), [("record", "out.mp4"), ("snapshot", "seen/film-000000.png"), ("benchmark", "r.html")])
def test_what_is_cut_off_is_seen(name, file, tmp_path):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"a beginning, and no end")
    assert len(WORKS[name].broken(tmp_path, "")) == 1
