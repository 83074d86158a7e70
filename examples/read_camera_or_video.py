"""Read letters from a camera, a video or an image, and print the text whenever it changes.

    python examples/read_camera_or_video.py 0                         # the first camera; Ctrl-C ends it
    python examples/read_camera_or_video.py talk.mp4 --save frames/   # save a frame for each new text, with the letters marked
    python examples/read_camera_or_video.py page.jpg

It needs lettercast[reader].
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2

from lettercast import LettercastError
from lettercast.runtime import Reader, Tracker, annotate, open_frames


def read_source(source: str, model: str, save: Path | None = None, max_frames: int | None = None) -> int:
    """Read the frames of a source and print each new text; returns how many frames were read."""
    # Open the source first: a wrong name ends here, before the model is loaded. The `with` releases the camera at the end.
    with open_frames([source]) as frames:
        reader = Reader(model)
        # The tracker follows letters from frame to frame, so that one blurred frame does not change the text.
        tracker = Tracker(reader)
        count, saved, last_text = 0, 0, ""
        for frame in frames:
            # A photograph stands alone; only the frames of a camera or a video follow each other.
            page = reader.read(frame.image) if frame.is_still else tracker.read(frame.image)
            if page.text and page.text != last_text:
                lines = page.text.split("\n")
                print(f"{frame.source}, frame {frame.number}: {' / '.join(lines)}", flush=True)
                if save:
                    save_image(save / f"{saved:04d}.png", annotate(frame.image, page))
                    saved += 1
            last_text = page.text
            count += 1
            if count == max_frames:
                break
    return count


def save_image(path: Path, image: cv2.typing.MatLike) -> None:
    """Write an image and make its folder; OpenCV only returns False if it cannot write, so this raises an error instead."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image):
        raise LettercastError(f"{path}: cannot be written; choose another folder with --save")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; returns the exit code."""
    parser = argparse.ArgumentParser(
        description="Read letters from a camera, a video or an image; print the text when it changes."
    )
    parser.add_argument("source", help="a camera number such as 0, a video, an image, a folder of images, or an http or rtsp URL")
    parser.add_argument("--model", default="letters-base", help="letters-base, letters-nano or a .tflite or .onnx file")
    parser.add_argument(
        "--save", type=Path, metavar="FOLDER", help="save a frame here for each new text, with the letters marked"
    )
    parser.add_argument("--max-frames", type=int, metavar="N", help="stop after this many frames (default: at the end)")
    options = parser.parse_args(arguments)
    try:
        count = read_source(options.source, options.model, options.save, options.max_frames)
    except (LettercastError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        # Ctrl-C is the usual way to stop a camera.
        return 0
    print(f"{count} frames read")
    return 0


if __name__ == "__main__":
    sys.exit(main())
