"""Boards that people use, and whether a model fits them: a table that is computed, not measured."""

from dataclasses import dataclass

from .graph import Graph

KB = 1024
# Assumed, not measured: TensorFlow Lite Micro with the kernels of a small network and the code of the board, and the memory
# of the board's own system and the stack.
PROGRAM_KB, SYSTEM_KB = 160, 12
CMSIS_NN, ESP_NN, REFERENCE = "CMSIS-NN", "ESP-NN", "reference"


@dataclass(frozen=True)
class Board:
    """A board: its name, its processor, its flash and the RAM that static data can take in KB, and the kernels that suit it."""

    name: str
    processor: str
    flash_kb: int
    ram_kb: int
    kernels: str


# From the data sheets of the makers. An ESP32 gives static data only a part of its RAM.
BOARDS = (
    Board("Arduino Nano 33 BLE", "nRF52840, Cortex-M4F, 64 MHz", 1024, 256, CMSIS_NN),
    Board("Arduino UNO R4", "RA4M1, Cortex-M4, 48 MHz", 256, 32, CMSIS_NN),
    Board("Arduino UNO R3", "ATmega328P, 8 bits, 16 MHz", 32, 2, REFERENCE),
    Board("BBC micro:bit V2", "nRF52833, Cortex-M4F, 64 MHz", 512, 128, CMSIS_NN),
    Board("Raspberry Pi Pico", "RP2040, Cortex-M0+, 133 MHz", 2048, 264, CMSIS_NN),
    Board("Raspberry Pi Pico 2", "RP2350, Cortex-M33, 150 MHz", 4096, 520, CMSIS_NN),
    Board("ESP32-CAM", "ESP32, Xtensa LX6, 240 MHz", 3072, 120, REFERENCE),
    Board("ESP32-S3", "Xtensa LX7, 240 MHz", 3072, 320, ESP_NN),
    Board("STM32F746G-DISCO", "STM32F746, Cortex-M7, 216 MHz", 1024, 320, CMSIS_NN),
    Board("Teensy 4.1", "i.MX RT1062, Cortex-M7, 600 MHz", 7936, 512, CMSIS_NN),
)


def ram_bytes(board: Board, graph: Graph, arena_bytes: int, image_bytes: int) -> int:
    """Return the RAM that a model takes on a board: the arena, the scratch memory of its kernels, and one input image."""
    scratch = {CMSIS_NN: graph.cmsis_nn_bytes, ESP_NN: graph.esp_nn_bytes}.get(board.kernels, 0)
    return arena_bytes + scratch + image_bytes


def verdict(board: Board, model_bytes: int, ram: int) -> str:
    """Return whether a model of these sizes fits, or what is missing."""
    flash_needed, ram_needed = PROGRAM_KB + model_bytes / KB, SYSTEM_KB + ram / KB
    lacking = [
        *([f"flash: {flash_needed:.0f} KB needed"] if flash_needed > board.flash_kb else []),
        *([f"RAM: {ram_needed:.0f} KB needed"] if ram_needed > board.ram_kb else []),
    ]
    return f"no, {', '.join(lacking)}" if lacking else "yes"


def board_table(graph: Graph, model_bytes: int, arena_bytes: int, image_bytes: int) -> str:
    """Return a Markdown table of the boards, and what a model takes of them."""
    lines = ["| board | processor | flash | RAM | the model takes | fits |", "|---|---|---|---|---|---|"]
    for board in BOARDS:
        ram = ram_bytes(board, graph, arena_bytes, image_bytes)
        lines.append(
            f"| {board.name} | {board.processor} | {board.flash_kb:,} KB | {board.ram_kb} KB "
            f"| {model_bytes / KB:.0f} KB flash, {ram / KB:.1f} KB RAM | {verdict(board, model_bytes, ram)} |"
        )
    return "\n".join(lines)
