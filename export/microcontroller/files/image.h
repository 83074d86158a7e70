/* Scaling of camera images to the input of the model @model@, in C99 without memory of its own. */
#ifndef @NAME@_IMAGE_H
#define @NAME@_IMAGE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Scale a part of an image to another size, as OpenCV does with INTER_AREA (smaller) and INTER_LINEAR_EXACT (larger).

   source points to the top left pixel of the part, which is width x height pixels of the given number of channels, one byte
   each; stride is the distance in bytes from one row to the next. target gets out_width x out_height pixels without gaps.
   Returns 0, or -1 if one side would shrink and the other grow, or if a row has more than @NAME@_IMAGE_WIDTH pixels. */
int @name@_resize(const uint8_t *source, int width, int height, int stride, int channels, uint8_t *target, int out_width,
                  int out_height);

/* Turn a part of a colour image into grey: 0.299 red + 0.587 green + 0.114 blue. first_is_red is 1 for RGB, 0 for BGR. */
void @name@_to_grey(const uint8_t *source, int width, int height, int stride, int first_is_red, uint8_t *target);

/* Turn pixels of RGB565, as cameras give them with the high byte first, into RGB. */
void @name@_from_rgb565(const uint8_t *source, int pixels, uint8_t *target);

/* The longest row of a scaled image, in pixels and in bytes. */
#define @NAME@_IMAGE_WIDTH @row_pixels@
#define @NAME@_IMAGE_MAX @row_bytes@

#ifdef __cplusplus
}
#endif

#endif
