"""Read letters on a device; needs NumPy, OpenCV and one inference engine, and nothing else.

    from lettercast.runtime import Reader

    page = Reader().read("page.jpg")
    for line in page.lines:
        print(line.text, [letter.confidence for letter in line.letters])

A model of other images, or a single letter: `Classifier` gives the label of an image.

    from lettercast.runtime import Classifier

    print(Classifier("digits.tflite").classify("7.png").label)

A camera or a video: `open_frames` gives its frames, a `Tracker` reads them steadily, and `annotate` draws what was read.

    from lettercast.runtime import Reader, Tracker, open_frames

    tracker = Tracker(Reader())
    with open_frames(["0"]) as frames:
        for frame in frames:
            print(tracker.read(frame.image).text)
"""

from typing import TYPE_CHECKING

from .. import lazily

if TYPE_CHECKING:
    from .classifier import Classification, Classifier
    from .live.overlay import annotate
    from .live.track import Tracker
    from .model.engine import Engine, open_engine
    from .model.facts import Facts
    from .pixels import Frame
    from .reader import Reader
    from .sources.source import open_frames
    from .text import Letter, Line, Page, Word

# Each name is imported from its module when it is asked for.
HOMES = {
    "Classification": "classifier",
    "Classifier": "classifier",
    "Engine": "model.engine",
    "Facts": "model.facts",
    "Frame": "pixels",
    "Letter": "text",
    "Line": "text",
    "Page": "text",
    "Reader": "reader",
    "Tracker": "live.track",
    "Word": "text",
    "annotate": "live.overlay",
    "open_engine": "model.engine",
    "open_frames": "sources.source",
}
__all__ = [
    "Reader",
    "Page",
    "Line",
    "Word",
    "Letter",
    "Classifier",
    "Classification",
    "Tracker",
    "open_frames",
    "Frame",
    "annotate",
    "open_engine",
    "Engine",
    "Facts",
]
__getattr__ = lazily(__name__, HOMES)
