/* A processor that multiplies and adds in one step would round other pixels than a computer does. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("-ffp-contract=off")
#endif

#include "@name@_image.h"

#include <math.h>
#include <string.h>

/* The weight of a pixel that covers less than this share is left out, as in OpenCV. */
#define SLIVER 1e-3
/* Weights of linear interpolation are multiples of 1/256. */
#define ONE 256

/* Pixels first to last - 1 lie within an output pixel; the one before and the one after it are covered by a part. */
typedef struct {
  int first, last;
  float before, within, after;
} cover;

static cover cover_of(int place, int size, double scale) {
  double start = place * scale, end = start + scale;
  double width = scale < size - start ? scale : size - start;
  cover found;
  found.first = (int)ceil(start);
  found.last = (int)floor(end);
  if (found.last > size - 1) found.last = size - 1;
  if (found.first > found.last) found.first = found.last;
  found.before = found.first - start > SLIVER ? (float)((found.first - start) / width) : 0.0f;
  found.within = (float)(1.0 / width);
  found.after = 0.0f;
  if (end - found.last > SLIVER) {
    double rest = end - found.last;
    if (rest > 1.0) rest = 1.0;
    if (rest > width) rest = width;
    found.after = (float)(rest / width);
  }
  return found;
}

static uint8_t to_pixel(float value) {
  long rounded = lrintf(value);
  return (uint8_t)(rounded < 0 ? 0 : rounded > 255 ? 255 : rounded);
}

/* Average a row over the pixels that each output pixel covers, and add it with its weight to sums. */
static void add_row(const uint8_t *row, const cover *covers, int channels, int out_width, float weight, float *sums) {
  int x, c, i;
  for (x = 0; x < out_width; x++) {
    const cover *over = covers + x;
    for (c = 0; c < channels; c++) {
      float sum = 0.0f;
      if (over->before > 0.0f) sum += row[(over->first - 1) * channels + c] * over->before;
      for (i = over->first; i < over->last; i++) sum += row[i * channels + c] * over->within;
      if (over->after > 0.0f) sum += row[over->last * channels + c] * over->after;
      sums[x * channels + c] += sum * weight;
    }
  }
}

/* Average whole blocks, which OpenCV adds up as integers; blocks of 2 x 2 round halves up. */
static void shrink_blocks(const uint8_t *source, int stride, int channels, int across, int down, uint8_t *target, int out_width,
                          int out_height) {
  int x, y, c, i, j;
  float share = 1.0f / (float)(across * down);
  for (y = 0; y < out_height; y++) {
    for (x = 0; x < out_width; x++) {
      for (c = 0; c < channels; c++) {
        long sum = 0;
        for (j = 0; j < down; j++) {
          const uint8_t *row = source + (long)(y * down + j) * stride;
          for (i = 0; i < across; i++) sum += row[(x * across + i) * channels + c];
        }
        *target++ = across == 2 && down == 2 ? (uint8_t)((sum + 2) >> 2) : to_pixel((float)sum * share);
      }
    }
  }
}

static void shrink(const uint8_t *source, int width, int height, int stride, int channels, uint8_t *target, int out_width,
                   int out_height) {
  double scale = (double)height / out_height;
  float sums[@NAME@_IMAGE_MAX];
  cover covers[@NAME@_IMAGE_WIDTH];
  int x, y, row, count = out_width * channels;
  if (width % out_width == 0 && height % out_height == 0) {
    shrink_blocks(source, stride, channels, width / out_width, height / out_height, target, out_width, out_height);
    return;
  }
  for (x = 0; x < out_width; x++) covers[x] = cover_of(x, width, (double)width / out_width);
  for (y = 0; y < out_height; y++) {
    cover over = cover_of(y, height, scale);
    for (x = 0; x < count; x++) sums[x] = 0.0f;
    if (over.before > 0.0f) add_row(source + (long)(over.first - 1) * stride, covers, channels, out_width, over.before, sums);
    for (row = over.first; row < over.last; row++)
      add_row(source + (long)row * stride, covers, channels, out_width, over.within, sums);
    if (over.after > 0.0f) add_row(source + (long)over.last * stride, covers, channels, out_width, over.after, sums);
    for (x = 0; x < count; x++) *target++ = to_pixel(sums[x]);
  }
}

/* The two pixels around the middle of an output pixel, and the weight of the second in 1/256. */
static int neighbours(int place, int size, int out_size, int *first, int *second) {
  double middle = (place + 0.5) * ((double)size / out_size) - 0.5;
  int before = (int)floor(middle);
  int weight = (int)floor((middle - before) * ONE + 0.5);
  *first = before < 0 ? 0 : before > size - 1 ? size - 1 : before;
  *second = before + 1 < 0 ? 0 : before + 1 > size - 1 ? size - 1 : before + 1;
  return weight;
}

static void grow(const uint8_t *source, int width, int height, int stride, int channels, uint8_t *target, int out_width,
                 int out_height) {
  int x, y, c;
  for (y = 0; y < out_height; y++) {
    int upper, lower, down = neighbours(y, height, out_height, &upper, &lower);
    const uint8_t *above = source + (long)upper * stride, *below = source + (long)lower * stride;
    for (x = 0; x < out_width; x++) {
      int left, right, across = neighbours(x, width, out_width, &left, &right);
      for (c = 0; c < channels; c++) {
        long top = (long)above[left * channels + c] * (ONE - across) + (long)above[right * channels + c] * across;
        long bottom = (long)below[left * channels + c] * (ONE - across) + (long)below[right * channels + c] * across;
        *target++ = (uint8_t)((top * (ONE - down) + bottom * down + ONE * ONE / 2) / (ONE * ONE));
      }
    }
  }
}

int @name@_resize(const uint8_t *source, int width, int height, int stride, int channels, uint8_t *target, int out_width,
                  int out_height) {
  int y;
  if (width < 1 || height < 1 || out_width < 1 || out_height < 1) return -1;
  if (out_width > @NAME@_IMAGE_WIDTH || out_width * channels > @NAME@_IMAGE_MAX) return -1;
  if (width == out_width && height == out_height) {
    for (y = 0; y < height; y++) memcpy(target + (long)y * width * channels, source + (long)y * stride, (size_t)(width * channels));
  } else if (width >= out_width && height >= out_height) {
    shrink(source, width, height, stride, channels, target, out_width, out_height);
  } else if (width <= out_width && height <= out_height) {
    grow(source, width, height, stride, channels, target, out_width, out_height);
  } else {
    return -1;
  }
  return 0;
}

void @name@_to_grey(const uint8_t *source, int width, int height, int stride, int first_is_red, uint8_t *target) {
  /* The weights as multiples of 1/32768, as in OpenCV. */
  const long red = 9798, green = 19235, blue = 3735;
  int x, y;
  for (y = 0; y < height; y++) {
    const uint8_t *pixel = source + (long)y * stride;
    for (x = 0; x < width; x++, pixel += 3) {
      long sum = green * pixel[1] + (first_is_red ? red * pixel[0] + blue * pixel[2] : blue * pixel[0] + red * pixel[2]);
      *target++ = (uint8_t)((sum + 16384) >> 15);
    }
  }
}

void @name@_from_rgb565(const uint8_t *source, int pixels, uint8_t *target) {
  int i;
  for (i = 0; i < pixels; i++, source += 2, target += 3) {
    unsigned value = (unsigned)source[0] << 8 | source[1];
    target[0] = (uint8_t)((value >> 11) * 255 / 31);
    target[1] = (uint8_t)((value >> 5 & 63) * 255 / 63);
    target[2] = (uint8_t)((value & 31) * 255 / 31);
  }
}
