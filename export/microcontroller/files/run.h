/* The model @model@ in TensorFlow Lite Micro. */
#ifndef @NAME@_RUN_H
#define @NAME@_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "@name@.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  /* The index of the likeliest label in @name@_labels, and its probability 0..1. */
  int label;
  float probability;
  /* 1 if the probability is lower than the model's rejection threshold: then the image probably shows none of the labels. */
  int is_rejected;
} @name@_answer;

/* Prepare the model; call it once, in setup(). Returns 1, or 0 with the reason in @name@_problem(). */
int @name@_begin(void);

/* Classify @NAME@_PIXELS bytes, row by row, each pixel @NAME@_CHANNELS bytes of 0..255. Returns 1, or 0 with the reason in
   @name@_problem(). */
int @name@_classify(const uint8_t *pixels, @name@_answer *answer);

/* The probability 0..1 of a label after @name@_classify. */
float @name@_probability(int label);

/* The output as the model gave it, @NAME@_CLASSES numbers. */
const @name@_output *@name@_raw(void);

/* What went wrong, in words. */
const char *@name@_problem(void);

/* Bytes of the arena that are in use, and its size. */
size_t @name@_arena_used(void);
size_t @name@_arena_size(void);

#ifdef __cplusplus
}
#endif

#endif
