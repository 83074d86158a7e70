"""An app for a browser, made once, and a server for it."""

import functools
import http.server
import shutil
import threading
from pathlib import Path

import pytest

from lettercast import LettercastError
from lettercast.export import export
from lettercast.export.web.bundle import shipped_model, write_web_bundle
from lettercast.export.web.packages import package_files
from lettercast.runtime.arguments import device_model


@pytest.fixture(scope="session")
def packages():
    """The files of the npm packages in an app; from npm, at the first time."""
    if shutil.which("npm") is None:
        pytest.skip("no npm here: apt install npm")
    try:
        return package_files()
    except LettercastError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def app(packages, tmp_path_factory) -> Path:
    """An app of letters-base."""
    out = tmp_path_factory.mktemp("web") / "app"
    return write_web_bundle(shipped_model(device_model("letters-base")), out).path


@pytest.fixture(scope="session")
def digits_onnx(digits, made_once) -> Path:
    """A model of scikit-learn's digits, 8 by 8 pixels, as an .onnx file with its golden cases."""

    def make(folder: Path) -> Path:
        made = export(digits / "digits.keras", formats="onnx-float32", check=digits / "digits.npz", out=folder, progress=False)
        return made.artifacts[0].path

    return made_once("digits-onnx", make)


@pytest.fixture(scope="session")
def digits_app(packages, digits_onnx, tmp_path_factory) -> Path:
    """An app of a user's own model."""
    return write_web_bundle(digits_onnx, tmp_path_factory.mktemp("web") / "digits").path


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that writes no log."""

    def log_message(self, format, *args):
        """Say nothing."""


@pytest.fixture
def serve():
    """Return a function that serves a folder on the loopback until it is called to stop; returns address and stop."""
    stops = []

    def start(folder: Path):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()

        def stop():
            server.shutdown()
            server.server_close()
            thread.join()

        stops.append(stop)
        return f"http://localhost:{server.server_port}/", stop

    yield start
    for stop in stops:
        stop()
