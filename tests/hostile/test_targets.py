"""Parsers of input from outside, given damaged, false and random bytes: they accept or refuse them, and raise nothing else."""

from pathlib import Path

import pytest
from hostile.targets import TARGETS, Target, try_bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).with_name("corpus")
# Numbers that often break the handling of lengths and offsets.
NASTY = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\0\x80",
    b"NaN",
    b"-1",
    b"1e999",
    b"[" * 2000,
)
QUICK = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@st.composite
def damaged(draw, seeds: list[bytes]) -> bytes:
    """Return a valid input after a few cuts, flips, swaps and insertions."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.integers(0, 4))
        if kind == 0:
            del data[at:]
        elif kind == 1 and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == 2:
            word = draw(st.sampled_from(NASTY))
            data[at : at + len(word)] = word
        elif kind == 3:
            data[at:at] = draw(st.sampled_from(NASTY))
        else:
            other = draw(st.integers(0, max(0, len(data) - 1)))
            data[at : at + 8] = data[other : other + 8]
    return bytes(data)


@pytest.mark.parametrize("name", TARGETS)
def test_valid_inputs_are_accepted(name):
    target = TARGETS[name]
    assert any(try_bytes(target, seed) for seed in target.seeds())


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_inputs_are_accepted_or_refused(name):
    target = TARGETS[name]

    @QUICK
    @given(damaged(target.seeds()))
    def check(data: bytes) -> None:
        try_bytes(target, data)

    check()


@pytest.mark.parametrize("name", TARGETS)
def test_random_bytes_are_accepted_or_refused(name):
    @QUICK
    @given(st.binary(max_size=200))
    def check(data: bytes) -> None:
        try_bytes(TARGETS[name], data)

    check()


@pytest.mark.parametrize("name", TARGETS)
def test_an_empty_input_is_refused(name):
    target: Target = TARGETS[name]
    assert not try_bytes(target, b"") or name == "image header"


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_fuzzing_found_stays_fixed(path):
    try_bytes(TARGETS[path.parent.name], path.read_bytes())
