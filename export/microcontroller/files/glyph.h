/* Preprocessing for the model @model@, in C99 without memory of its own: the ink of a letter becomes 28 x 28 pixels. */
#ifndef @NAME@_GLYPH_H
#define @NAME@_GLYPH_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define @NAME@_GLYPH_SIDE 28

/* Measure the ink of one letter on paper in grey pixels: 0 is paper, 255 is ink that reflects nothing.

   grey is width x height bytes without gaps and is replaced by the ink. The letter should fill a third to nine tenths of it.
   Dark letters on light paper and light letters on a dark board give the same ink, and slow changes of light do not matter.
   Returns 1, or 0 if there is no ink: then all pixels are 0. */
int @name@_ink(uint8_t *grey, int width, int height);

/* Fit the ink of one letter into the image that the network reads: white on black, the longer side 24 pixels, centred.

   ink is width x height bytes, 0 on paper, and stride bytes from one row to the next; glyph gets 28 x 28 bytes, all 0 if there
   is no ink. It is the same as lettercast.runtime.glyph.glyph. */
void @name@_glyph(const uint8_t *ink, int width, int height, int stride, uint8_t glyph[@NAME@_GLYPH_SIDE * @NAME@_GLYPH_SIDE]);

#ifdef __cplusplus
}
#endif

#endif
