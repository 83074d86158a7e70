"""Measure how well a model reads your own photographed pages, and list the pages that it reads worst.

    python examples/pages_report.py pages/labels.csv
    python examples/pages_report.py pages/labels.csv --model letters-nano --worst 20

The CSV names each photograph, from the folder of the CSV, and says what is written on it, with | between lines:

    file,text
    1.jpg,HELLO|WORLD
    2.jpg,ABC|DEF

It needs lettercast[export].
"""

import argparse
import sys
from collections.abc import Sequence

from lettercast import LettercastError
from lettercast.benchmarks import PagesResult, evaluate_pages

WORST = 10


def report(result: PagesResult, worst: int) -> None:
    """Print the character error rate, and the pages with most errors."""
    figures = result.to_dict()
    print(f"model {result.model}: {len(result.pages)} pages, {result.letters} letters")
    # The character error rate counts letters that must be inserted, deleted or replaced, per letter that is written there.
    print(f"character error rate {100 * result.cer:.2f} % ({figures['errors']} errors)")
    print(f"time per page {figures['ms_per_page']:.0f} ms (median)")
    wrong = sorted((page for page in result.pages if page.errors), key=lambda page: -page.errors)
    print(f"pages without an error: {len(result.pages) - len(wrong)} of {len(result.pages)}")
    for page in wrong[:worst]:
        print(f"\n{page.file}: {page.errors} errors")
        print(f"  written {page.expected}")
        print(f"  read    {page.read}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure the character error rate on your photographed pages.")
    parser.add_argument("csv", help="a CSV with the columns file and text")
    parser.add_argument("--model", default="letters-base", help="letters-base, letters-nano or a .keras, .tflite or .onnx file")
    parser.add_argument("--worst", type=int, default=WORST, metavar="N", help="pages to list (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        report(evaluate_pages(options.model, options.csv), options.worst)
    except (LettercastError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
