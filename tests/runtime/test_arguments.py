"""Types of command-line arguments."""

import argparse

import pytest

from lettercast.runtime.arguments import amount, device_model, keras_model, serve_address


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
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}': no such model; give letters-base, letters-nano, or"):
        parse(text)


def test_an_amount_is_zero_or_above():
    assert amount("0") == 0 and amount("1.5") == 1.5
    for text, why in (("-1", "-1 is below 0"), ("inf", "not a number"), ("nan", "not a number"), ("", "not a number")):
        with pytest.raises(argparse.ArgumentTypeError, match=why):
            amount(text)
