"""Types of command-line arguments."""

import argparse
import codecs
import unicodedata

import pytest

from lettercast.runtime.arguments import amount, byte_size, device_model, keras_model, label_names, serve_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        (":8081", ("127.0.0.1", 8081)),
        ("8081", ("127.0.0.1", 8081)),
        ("0", ("127.0.0.1", 0)),
        ("0.0.0.0", ("0.0.0.0", 8080)),
        ("pi.local:80", ("pi.local", 80)),
        ("[::1]:8082", ("::1", 8082)),
        ("[::]", ("::", 8080)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
    ],
)
def test_parts_of_the_serve_address_may_be_left_out(text, address):
    assert serve_address(text) == address


def test_an_image_after_serve_is_an_error_with_the_right_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.jpg").touch()
    (tmp_path / "8081").touch()
    for text in ("page.jpg", "gone/my page.jpg"):
        with pytest.raises(argparse.ArgumentTypeError, match=r"put it before --serve: lettercast read .* --serve"):
            serve_address(text)
    assert serve_address("8081") == ("127.0.0.1", 8081)


def test_a_model_is_a_name_or_a_path(tmp_path):
    own = tmp_path / "own.keras"
    own.touch()
    assert keras_model(str(own)) == device_model(str(own)) == own


@pytest.mark.parametrize("parse", [keras_model, device_model])
@pytest.mark.parametrize("text", ["nosuch", "gone.tflite", ""])
def test_an_unknown_model_is_an_error_that_lists_the_known_ones(parse, text):
    with pytest.raises(
        argparse.ArgumentTypeError, match=f"'{text}': no such model; give letters-base, letters-digits, letters-nano, or"
    ):
        parse(text)


def test_an_amount_is_zero_or_above():
    assert amount("0") == 0 and amount("1.5") == 1.5
    for text, why in (("-1", "-1 is below 0"), ("inf", "not a number"), ("nan", "not a number"), ("", "not a number")):
        with pytest.raises(argparse.ArgumentTypeError, match=why):
            amount(text)


NAMES = ["caf\u00e9 bar", "disc, round", "\u5706", "\U0001f468\u200d\U0001f33e"]


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: text.encode("utf-32"),
        lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.replace("\n", "  \n\n\t\n").encode(),
        lambda text: unicodedata.normalize("NFD", text).encode(),
        lambda text: "".join(f"{i} {line}\n" for i, line in enumerate(text.split("\n"))).encode(),
        lambda text: "".join(f"{i}: {line}\n" for i, line in enumerate(text.split("\n"))).encode(),
    ],
    ids=[
        "utf8",
        "notepad",
        "powershell",
        "utf16be",
        "utf16le-bare",
        "utf16be-bare",
        "utf32",
        "crlf",
        "cr",
        "blanks",
        "decomposed",
        "numbered",
        "colons",
    ],
)
def test_a_file_of_names_is_read_as_every_editor_saves_it(encode, tmp_path):
    (tmp_path / "names.txt").write_bytes(encode("\n".join(NAMES)))
    assert label_names(str(tmp_path / "names.txt")) == NAMES


def test_names_that_are_numbers_or_start_with_other_numbers_stay(tmp_path):
    (tmp_path / "n.txt").write_text("1 euro\n2 euro\n")
    assert label_names(str(tmp_path / "n.txt")) == ["1 euro", "2 euro"]
    assert label_names("0,1,2") == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("caf\u00e9\nbar\n".encode("latin-1"), "line 1 is not UTF-8 text; save the file as UTF-8"),
        (b"cat\ndog\ncat\n", "has 'cat' 2 times; give every class its own name"),
        (b"only\n", "names fewer than two classes"),
        (b"\x93NUMPY\x01\0v\0\x01\x02", "not a text file|is not UTF-16"),
        (b"\x89PNG\r\n\x1a\n", "line 1 is not UTF-8 text"),
        (b"a\x01\x02\nb\n", "not a text file"),
    ],
)
def test_a_file_that_holds_no_list_of_names_is_refused(data, why, tmp_path):
    (tmp_path / "names.txt").write_bytes(data)
    with pytest.raises(argparse.ArgumentTypeError, match=why):
        label_names(str(tmp_path / "names.txt"))


def test_a_file_of_names_that_is_not_there_is_said_to_be_missing():
    with pytest.raises(argparse.ArgumentTypeError, match=r"'nosuch.txt' is neither a file nor a list of names"):
        label_names("nosuch.txt")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("400k", 400_000),
        ("400kB", 400_000),
        ("400 KB", 400_000),
        ("1.5M", 1_500_000),
        ("64KiB", 65_536),
        ("64Ki", 65_536),
        ("2mib", 2_097_152),
        ("295248", 295_248),
        ("295248B", 295_248),
        ("0.1k", 100),
        ("1.1M", 1_100_000),
    ],
)
def test_sizes_are_read_exactly(text, size):
    assert byte_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "k", "-400k", "400x", "4e5", "1,5M", "nan", "inf", "0", "0.4", "400 k k", "\u0664k", "9" * 5000]
)
def test_other_text_is_no_size(text):
    with pytest.raises(argparse.ArgumentTypeError):
        byte_size(text)
