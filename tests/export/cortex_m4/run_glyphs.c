/* Runs letters_glyph() on a Cortex-M4 in QEMU: inks come from the file inks.bin by semihosting, and glyphs go to glyphs.bin.
   Each ink is its width and height, 16 bits each, and its pixels. */
#include <stdint.h>
#include <string.h>

#include "letters_glyph.h"

enum { OPEN = 1, WRITE = 5, READ = 6, EXIT = 24, READ_BINARY = 1, WRITE_BINARY = 5, DONE = 0x20026 };

static uint8_t ink[256 * 256], glyph[28 * 28];
extern char bss_start, bss_end;
int main(void);

static intptr_t call(intptr_t operation, intptr_t argument) {
  register intptr_t r0 __asm__("r0") = operation;
  register intptr_t r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

static intptr_t with_three(intptr_t operation, intptr_t first, intptr_t second, intptr_t third) {
  intptr_t words[3] = {first, second, third};
  return call(operation, (intptr_t)words);
}

static intptr_t open_file(const char *name, intptr_t mode) {
  return with_three(OPEN, (intptr_t)name, mode, (intptr_t)strlen(name));
}

int main(void) {
  intptr_t source = open_file("inks.bin", READ_BINARY), target = open_file("glyphs.bin", WRITE_BINARY);
  uint16_t size[2];
  while (with_three(READ, source, (intptr_t)size, sizeof(size)) == 0) {
    with_three(READ, source, (intptr_t)ink, (intptr_t)size[0] * size[1]);
    letters_glyph(ink, size[0], size[1], size[0], glyph);
    with_three(WRITE, target, (intptr_t)glyph, sizeof(glyph));
  }
  call(EXIT, DONE);
  return 0;
}

static void reset(void) {
  /* The floating-point unit is off at first. */
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20;
  memset(&bss_start, 0, (size_t)(&bss_end - &bss_start));
  main();
}

__attribute__((section(".vectors"), used)) static void *const vectors[] = {(void *)0x20400000, (void *)reset};
