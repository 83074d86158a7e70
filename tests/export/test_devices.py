"""The table of devices, the page that shows it, and which file is recommended for a device."""

import re
from pathlib import Path

import pytest

from lettercast import LettercastError
from lettercast.export.devices import DEVICES, by_table, find_devices, formats_for
from lettercast.export.formats import FORMATS

ROOT = Path(__file__).parents[2]


def rows_of(document: str, head: str) -> list[list[str]]:
    """Return the cells of the table below a head, in the Markdown of a document."""
    _, found, below = (ROOT / "docs" / document).read_text(encoding="utf-8").partition(head)
    assert found, head
    (table,) = re.findall(r"\A[^\n]*\n\|[-|]+\n((?:\|[^\n]*\n)+)", below)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_page_shows_the_table_of_the_code():
    shown: dict[str, dict[str, str]] = {}
    for name, device, format, why in rows_of("devices.md", "| `--for` |"):
        if name:
            row = DEVICES[name.strip("`")]
            assert device == f"{row.title}: {row.processor}"
            formats = shown.setdefault(row.name, {})
        formats[format.strip("`")] = why
    assert shown == {name: dict(device.formats) for name, device in DEVICES.items()}
    # The order counts, too.
    assert [list(formats) for formats in shown.values()] == [list(device.formats) for device in DEVICES.values()]


def test_the_page_of_formats_says_what_each_is_for_as_the_code_does():
    shown = {name.strip("`"): use for name, use, *_ in rows_of("export.md", "| format | for |")}
    assert set(shown) == set(FORMATS)
    for name, row in FORMATS.items():
        assert shown[name].startswith(row.device.partition(", ")[0]), name


def test_the_table_names_formats_that_exist_and_a_microcontroller_gets_integers_only():
    assert all(format in FORMATS for device in DEVICES.values() for format in device.formats)
    assert all("int" in format and format.startswith("tflite") for format in DEVICES["mcu"].formats)
    assert next(iter(DEVICES["x86"].formats)) == "tflite-float32"
    assert next(iter(DEVICES["x86-vnni"].formats)) == "tflite-int8"


def test_the_help_of_the_commands_names_every_device(capsys):
    from lettercast.commands.cli import main

    for command in ("export", "benchmark"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        told = re.split(r"[\s,]+", capsys.readouterr().out)
        assert set(DEVICES) <= set(told), command


def test_formats_of_several_devices_are_built_once():
    assert formats_for(["pi5", "mcu"]) == ["tflite-int8", "tflite-float32", "tflite-int16x8"]
    assert formats_for([]) == []
    with pytest.raises(LettercastError, match="unknown device 'pi3': choose from pi5, pi4"):
        find_devices(["pi3"])


def test_the_first_format_that_passed_is_taken():
    usable = {"tflite-float32": "m-float32.tflite", "onnx-int8": "m-int8.onnx"}
    assert by_table(DEVICES["pi4"], usable).name == "m-float32.tflite"
    assert by_table(DEVICES["pi4"], {**usable, "tflite-int8": "m-int8.tflite"}).name == "m-int8.tflite"


def test_an_unproven_file_is_named_as_such_with_a_proven_one():
    usable = {"tflite-int8": "m-int8.tflite", "tflite-float32": "m-float32.tflite"}
    assert "unproven" not in by_table(DEVICES["pi4"], usable, ["tflite-int8"]).reason
    one = by_table(DEVICES["pi4"], usable, ["tflite-float32"])
    assert one.name == "m-int8.tflite"
    assert one.reason.endswith("its accuracy drop is unproven, that of m-float32.tflite is proven")
    assert by_table(DEVICES["pi4"], usable, []).reason.endswith("its accuracy drop is unproven")


def test_without_a_usable_file_the_formats_are_named():
    one = by_table(DEVICES["mcu"], {"tflite-float32": "m-float32.tflite"})
    assert (one.name, one.format) == ("", "")
    assert one.reason == "no usable file in its formats: tflite-int8, tflite-int16x8"
