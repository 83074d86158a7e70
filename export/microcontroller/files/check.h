/* The golden cases of the model @model@: images with the answers that LiteRT's reference kernels give to them. */
#ifndef @NAME@_CHECK_H
#define @NAME@_CHECK_H

#include "@name@.h"

#ifdef __cplusplus
extern "C" {
#endif

#define @NAME@_CASES @cases@

extern const uint8_t @name@_case_pixels[@NAME@_CASES][@NAME@_PIXELS];
extern const @name@_output @name@_case_answers[@NAME@_CASES][@NAME@_CLASSES];

/* EQUAL: every answer is the same to the bit@tolerance_words@. CLOSE: every label is, and no probability is off by more
   than 0.1, as with kernels that round otherwise. WRONG: the model does not work here. */
enum { @NAME@_EQUAL = 0, @NAME@_CLOSE = 1, @NAME@_WRONG = 2 };

/* Run all golden cases, and print a report line by line. Returns @NAME@_EQUAL, @NAME@_CLOSE or @NAME@_WRONG. */
int @name@_check(void (*print_line)(const char *line));

#ifdef __cplusplus
}
#endif

#endif
