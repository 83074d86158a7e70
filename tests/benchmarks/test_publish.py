"""Killing reader and broker: what counts as lost and as twice, and a short run of the real ones."""

import json
from importlib.util import find_spec

import pytest

from lettercast.benchmarks.publish import find_mosquitto, kill_both, lacking, main, tally, without_repeats

NO_KILLS = {"reader": 0, "broker": 0}


def arrived(*messages: tuple[int, str]) -> list[dict]:
    return [{"id": f"a-b-{number}", "text": text} for number, text in messages]


@pytest.mark.parametrize(
    ("messages", "printed", "expected"),
    [
        # Texts, repeats of an identifier, lost, twice.
        ([(1, "AB"), (2, ""), (3, "CD")], ["AB", "CD"], (3, 0, 0, 0)),
        ([(1, "AB"), (1, "AB"), (2, "CD")], ["AB", "CD"], (2, 1, 0, 0)),
        ([(1, "AB"), (3, "CD")], ["AB", "CD"], (2, 0, 1, 0)),
        ([(1, "AB")], ["AB", "CD"], (1, 0, 1, 0)),
        ([(1, "AB"), (2, "AB")], ["AB"], (2, 0, 0, 1)),
        ([(2, "AB"), (1, "CD")], ["CD"], (2, 0, 0, 1)),
        # A reader that was killed and started again prints once more what it published before.
        ([(1, "AB"), (2, "CD")], ["AB", "AB", "CD", "CD"], (2, 0, 0, 0)),
    ],
)
def test_a_missing_number_is_a_loss_and_a_second_number_is_twice(messages, printed, expected):
    found = tally(arrived(*messages), printed, NO_KILLS, 2, 1.0)
    assert (found.texts, found.repeats, found.lost, found.twice) == expected


def test_texts_are_found_in_their_order():
    assert without_repeats(["A", "A", "B", "A"]) == ["A", "B", "A"]
    assert lacking(["A", "B"], ["A", "x", "B"]) == 0 and lacking(["B", "A"], ["A", "B"]) == 1


def test_no_text_is_lost_when_reader_and_broker_are_killed(tmp_path):
    if find_mosquitto() is None or find_spec("paho") is None:
        pytest.skip("no mosquitto or no paho-mqtt here: apt install mosquitto; pip install 'lettercast[mqtt]'")
    found = kill_both(1, tmp_path)
    assert found.kills == {"reader": 1, "broker": 1}
    assert (found.lost, found.twice) == (0, 0) and found.texts >= found.pages >= 2


def test_a_backlog_arrives_and_the_figures_are_written(tmp_path, capsys):
    if find_mosquitto() is None or find_spec("paho") is None:
        pytest.skip("no mosquitto or no paho-mqtt here: apt install mosquitto; pip install 'lettercast[mqtt]'")
    assert main(["--kills", "0", "--backlog", "50", "--json", str(tmp_path / "f.json")]) == 0
    (figures,) = json.loads((tmp_path / "f.json").read_text())
    assert (figures["texts"], figures["lost"], figures["twice"]) == (50, 0, 0)
    assert "50 arrived" in capsys.readouterr().out


def test_without_mosquitto_one_line_says_how_to_install_it(monkeypatch, capsys):
    monkeypatch.setattr("lettercast.benchmarks.publish.find_mosquitto", lambda: None)
    assert main(["--kills", "1", "--backlog", "0"]) == 2
    assert capsys.readouterr().err == "lettercast: mosquitto is not installed: sudo apt install mosquitto\n"
