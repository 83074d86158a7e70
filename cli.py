"""The `lettercast` command: one short function per verb, heavy imports inside it."""

import argparse
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from . import DONE, INTERRUPTED, MISSED, UNUSABLE, LettercastError
from .arguments import build_parser
from .interrupts import importing
from .terminal import show, table_width, working
from .values import device_model

DEFAULT_NAME = "letters-base"
# The extra that brings what a verb needs; the others need "train".
EXTRAS = {"read": "reader", "doctor": "reader", "bundle": "reader", "export": "export", "benchmark": "export"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; no traceback and no question reaches the user."""
    options = build_parser().parse_args(arguments)
    return answer(VERBS[options.verb], options)


def answer(run: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Run a verb; what goes wrong is said in one line and by the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(INTERRUPTED))
    try:
        code = run(options)
        # A full disk is told of here, and not when the process ends.
        sys.stdout.flush()
        return code
    except LettercastError as error:
        print(f"lettercast: {' '.join(str(error).split())}", file=sys.stderr)
        return UNUSABLE
    except ImportError as error:
        print(f"lettercast: {options.verb} {missing_package(options.verb, error)}", file=sys.stderr)
        return UNUSABLE
    except BrokenPipeError:
        # The reader of our output has gone; what it took is all it wanted.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return DONE
    except OSError as error:
        print(f"lettercast: {error.filename or 'input and output'}: {error.strerror or error}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt as stop:
        print(": ".join(["lettercast: interrupted", *map(str, stop.args)]), file=sys.stderr)
        return INTERRUPTED


def missing_package(verb: str, error: ImportError) -> str:
    """Say which package is missing, and the extra that brings it."""
    from .runtime.installed import LIBGL

    if "libGL" in str(error) or "libgthread" in str(error):
        return f"needs OpenCV, which lacks libGL here: {LIBGL}"
    if error.name in ("jax", "torch"):
        return f"needs {error.name}, as KERAS_BACKEND asks for it: pip install {error.name}, or unset KERAS_BACKEND"
    extra = EXTRAS.get(verb, "train")
    return f"needs {error.name}, which is not installed: pip install 'lettercast[{extra}]'"


def run_train(options: argparse.Namespace) -> int:
    """Train, calibrate, then write model, history, figures and card."""
    import_keras()
    from .train.card import make_facts, train_command, write_card
    from .train.data import data_path, letters_of, open_sources, open_validation
    from .train.evaluate import evaluate
    from .train.fit import FEWEST_TO_CALIBRATE, LAST_FILE, MODEL_FILE, calibrate, fit
    from .train.plan import TUNING_RATE, Plan, fingerprint
    from .train.predict import load_keras, model_facts, open_keras, open_teacher, save_keras

    if options.init and options.size:
        raise LettercastError("--size: the network is that of --init; leave --size out")
    init_sha256, teacher_sha256 = fingerprint([options.init] if options.init else []), fingerprint(options.teacher or [])
    source = open_sources(options.data, "train")
    validation = open_validation(options.val or options.data)
    init_facts = model_facts(options.init) if options.init else None
    plan = Plan.of(
        source,
        size=init_facts.name.removeprefix("letters-") if init_facts else options.size or "base",
        epochs=options.epochs,
        seed=options.seed,
        steps=options.steps,
        data=letters_of(options.data),
        val=letters_of(options.val or options.data),
        val_letters=validation.digest,
        rate=TUNING_RATE if options.rate is None and options.init else options.rate,
        clutter=options.clutter,
        draw_seed=options.draw_seed,
        cycle=options.cycle,
        init=init_sha256,
        teacher=teacher_sha256,
    )
    init = (load_keras(options.init), init_facts.labels) if init_facts else None
    teacher = open_teacher(options.teacher, source.classes) if options.teacher else None
    try:
        network, history = fit(
            source, validation, options.out, plan, resume=options.resume, init=init, teacher=teacher, cache=options.cache
        )
    except KeyboardInterrupt as stop:
        is_kept = (options.out / LAST_FILE).exists()
        raise KeyboardInterrupt("finished epochs are kept: go on with --resume" if is_kept else "in the first epoch") from stop
    path = options.out / MODEL_FILE
    facts = make_facts(network, source.classes, plan, train_command(options, plan))
    if init_facts and init_facts.labels == facts.labels:
        # Kept where there are too few letters to measure them anew.
        facts = replace(facts, temperature=init_facts.temperature, reject_below=init_facts.reject_below)
    save_keras(network, path, calibrate(network, facts, validation))
    model = open_keras(path)
    result = evaluate(model, validation)
    for written in (path, *write_card(model.facts, history, result, options.out)):
        print(written)
    print(f"validation: {100 * result.accuracy:.2f} % of {len(result.truth)} letters ({result.data})")
    if not model.facts.reject_below:
        print(f"no rejection threshold: it takes {FEWEST_TO_CALIBRATE} validation letters, so every answer counts as a letter")
    letters = shlex.quote(data_path(options.data[0]))
    held_out = "" if options.data == ["pen"] else f" --calibrate {letters} --check {letters}"
    print(f"next: lettercast export {shlex.quote(str(path))} --out {shlex.quote(str(options.out / 'dist'))}{held_out}")
    return DONE


def run_evaluate(options: argparse.Namespace) -> int:
    """Print accuracy on letters, or the character error rate on pages."""
    if options.pages:
        return run_evaluate_pages(options)
    with importing():
        from .benchmarks.tables import evaluation_table
        from .runtime.files import write_bytes
        from .train.data import default_split, open_source
        from .train.evaluate import evaluate
        from .train.predict import open_model, picture_shape

        if options.model.suffix == ".keras":
            import_keras()
        model = open_model(options.model, options.threads)
    trained_on = str(model.facts.made.get("data", ""))
    # Before the spinner turns: opening may download, with a bar of its own.
    split = options.split or default_split(options.data, trained_on)
    source = open_source(options.data, split, picture_shape(model.facts))
    with working(f"evaluating {options.model.name} on {options.data}"):
        result = evaluate(model, source)
    if options.report:
        from .train.figures import save_figures

        save_figures(result, options.report)
        write_bytes(options.report / "evaluation.json", json.dumps(result.to_dict(), indent=2).encode())
    if options.json:
        print(json.dumps(result.to_dict()))
    else:
        show(evaluation_table(result))
    return DONE


def run_evaluate_pages(options: argparse.Namespace) -> int:
    """Print the character error rate of photographed pages."""
    with importing():
        import cv2

        from .benchmarks.pages import read_pages
        from .benchmarks.tables import pages_table
        from .runtime.reader import Reader
        from .train.predict import open_model

        if options.model.suffix == ".keras":
            import_keras()
        reader = Reader(open_model(options.model, options.threads))
    with working(f"reading the pages of {options.pages}"):
        cv2.setNumThreads(options.threads)
        result = read_pages(reader, options.pages)
    if options.json:
        print(json.dumps(result.to_dict()))
    else:
        show(pages_table(result))
    return DONE


def run_export(options: argparse.Namespace) -> int:
    """Export behind the gate; exit code 1 where a format misses it."""
    from .export.formats import find_formats

    formats = find_formats(options.formats)
    import_keras()
    from .benchmarks.tables import artifact_table
    from .export.artifact import DEFAULT_MODEL, RECOMMENDED, export_model
    from .export.original import open_letters

    model = options.model or DEFAULT_MODEL
    calibrate, check = open_letters(model, options.calibrate, options.check)
    with working("loading") as said:
        artifacts = export_model(
            model,
            formats,
            calibrate,
            check,
            options.out,
            max_drop=options.max_drop,
            min_agreement=options.min_agreement,
            labels=options.labels,
            pixels=options.pixels,
            overwrite=options.overwrite,
            report=said,
        )
    show(artifact_table(artifacts, table_width()))
    for artifact in artifacts:
        for miss in artifact.misses:
            print(f"lettercast: {artifact.format.name} missed the gate: {miss}; no file written", file=sys.stderr)
        if artifact.cause:
            print(f"lettercast: {artifact.format.name}: {artifact.cause}", file=sys.stderr)
    if any(artifact.misses for artifact in artifacts):
        return MISSED
    original = f" --original {shlex.quote(str(options.model))}" if options.model else ""
    checked = options.check or options.calibrate
    letters = f" --data {shlex.quote(checked)}" if checked else ""
    print(f"next: lettercast benchmark {shlex.quote(str(options.out))}{original}{letters}")
    first = next((artifact for artifact in artifacts if artifact.format.name == RECOMMENDED), artifacts[0])
    path = shlex.quote(str(first.path))
    print(f"      lettercast read --model {path}" if first.reads_letters else f"      lettercast evaluate {path}{letters}")
    return DONE


def run_read(options: argparse.Namespace) -> int:
    """Read every frame of every source, to a window, to stdout, to files, to a browser."""
    if options.token and not options.serve:
        raise LettercastError("--token: it guards what --serve shows; add --serve")
    with importing():
        import cv2

        from .runtime.loop import Outputs, read_frames
        from .runtime.reader import Reader
        from .runtime.source import keep_apart, open_frames
        from .runtime.web import WebView

        # Opening the model imports its engine.
        reader = Reader(options.model, options.threads, options.words)
    cv2.setNumThreads(options.threads)
    keep_apart(options.sources, options.save, options.record)
    with ExitStack() as opened:
        view = opened.enter_context(WebView(*options.serve, token=options.token)) if options.serve else None
        frames = opened.enter_context(open_frames(options.sources, options.camera_size))
        if view:
            print(f"lettercast: watch at {view.url}", file=sys.stderr, flush=True)
        outputs = Outputs(
            options.json,
            not options.no_window,
            options.save,
            options.record,
            options.overwrite,
            view,
            view.stay if view and options.max_frames is None else None,
        )
        read_frames(reader, frames, outputs, options.max_frames)
    return DONE


def run_benchmark(options: argparse.Namespace) -> int:
    """Print the table; exit code 1 where a model is below --min-accuracy."""
    from .benchmarks.benchmark import find_models, run_benchmark
    from .benchmarks.tables import benchmark_table
    from .export.artifact import DEFAULT_MODEL
    from .runtime.facts import keras_facts
    from .runtime.files import write_bytes
    from .runtime.reader import DEFAULT_MODEL as SHIPPED
    from .train.data import default_split, open_source

    import_keras()
    models = find_models(options.models or [Path("dist") if Path("dist").is_dir() else SHIPPED])
    original = options.original or DEFAULT_MODEL
    facts = keras_facts(original)
    trained_on = str(facts.made.get("data", "")) if facts else ""
    source = open_source(options.data, options.split or default_split(options.data, trained_on))
    with working("loading") as said:
        result = run_benchmark(models, original, source, options.threads, said)
    if options.json:
        write_bytes(options.json, json.dumps(result.to_dict(), indent=2).encode())
    show(benchmark_table(result, table_width()))
    low = [row for row in result.rows if options.min_accuracy is not None and row.parity.accuracy < options.min_accuracy]
    for row in low:
        print(
            f"lettercast: {row.name}: accuracy {row.parity.accuracy:.2f} %, at least {options.min_accuracy:g} % asked",
            file=sys.stderr,
        )
    return MISSED if low else DONE


def run_doctor(options: argparse.Namespace) -> int:
    """Say what is installed and whether the models answer here as where they were exported; exit code 1 where one does not."""
    with importing():
        from .runtime.doctor import examine

        report = examine(options.models or [device_model(DEFAULT_NAME)], options.threads)
    if options.json:
        print(json.dumps(report.to_dict()))
    else:
        from .runtime.findings import findings

        print(findings(report))
    return report.exit_code


def run_bundle(options: argparse.Namespace) -> int:
    """Write one file that reads letters wherever Python, NumPy, OpenCV and an engine are."""
    with importing():
        from .export.bundle import write_bundle

        size = write_bundle(options.model or device_model(DEFAULT_NAME), options.out, overwrite=options.overwrite)
    print(f"{options.out}: {size:,} bytes")
    print(f"next: python3 {shlex.quote(str(options.out))} doctor")
    return DONE


def import_keras() -> None:
    """Import Keras and its backend without what they say of drivers and instruction sets."""
    from .runtime.quiet import quiet

    # TensorFlow decides when it is first imported how much it talks.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with importing(), quiet():
        import keras  # noqa: F401


VERBS = {
    "train": run_train,
    "evaluate": run_evaluate,
    "export": run_export,
    "read": run_read,
    "benchmark": run_benchmark,
    "doctor": run_doctor,
    "bundle": run_bundle,
}
