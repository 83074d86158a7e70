#include "@name@_glyph.h"

#include <math.h>
#include <string.h>

#include "@name@_image.h"

#define BORDER 2
/* Ink below this share in percent of the strongest is the halo of a blurred edge. */
#define EDGE_PERCENT 35
#define MAX_GAIN 4.0
/* Paper is looked for in a grid of this many cells on each side. */
#define CELLS 8
/* Added to pixel and paper alike, so that nearly black pixels count as unlit paper. */
#define DARKNESS 8
/* Weaker ink cannot be told from paper. */
#define MIN_INK 14
/* The edge of a stroke lies at this share in percent of the strongest ink. */
#define STROKE_PERCENT 40

static int peak_of(const uint8_t *pixels, int width, int height, int stride) {
  int x, y, peak = 0;
  for (y = 0; y < height; y++, pixels += stride)
    for (x = 0; x < width; x++)
      if (pixels[x] > peak) peak = pixels[x];
  return peak;
}

/* Halves round to the even number. */
static int rounded(double value) { return (int)lrint(value); }

void @name@_glyph(const uint8_t *ink, int width, int height, int stride, uint8_t glyph[@NAME@_GLYPH_SIDE * @NAME@_GLYPH_SIDE]) {
  uint8_t fitted[@NAME@_GLYPH_SIDE * @NAME@_GLYPH_SIDE];
  int left = width, right = -1, top = height, bottom = -1, peak = peak_of(ink, width, height, stride), x, y;
  int w, h, longer, fit_w, fit_h, strongest;
  double scale, gain, limit;
  const uint8_t *box;

  memset(glyph, 0, @NAME@_GLYPH_SIDE * @NAME@_GLYPH_SIDE);
  if (peak == 0) return;
  for (y = 0; y < height; y++) {
    for (x = 0; x < width; x++) {
      if (100 * ink[(long)y * stride + x] >= EDGE_PERCENT * peak) {
        if (x < left) left = x;
        if (x > right) right = x;
        if (y < top) top = y;
        bottom = y;
      }
    }
  }
  w = right - left + 1;
  h = bottom - top + 1;
  longer = w > h ? w : h;
  scale = (double)(@NAME@_GLYPH_SIDE - 2 * BORDER) / longer;
  fit_w = rounded(w * scale);
  fit_h = rounded(h * scale);
  if (fit_w < 1) fit_w = 1;
  if (fit_h < 1) fit_h = 1;
  box = ink + (long)top * stride + left;
  @name@_resize(box, w, h, stride, 1, fitted, fit_w, fit_h);
  peak = peak_of(box, w, h, stride);
  strongest = peak_of(fitted, fit_w, fit_h, fit_w);
  gain = MAX_GAIN * 255 / peak;
  limit = 255.0 / (strongest > 1 ? strongest : 1);
  if (limit < gain) gain = limit;
  for (y = 0; y < fit_h; y++) {
    uint8_t *row = glyph + ((@NAME@_GLYPH_SIDE - fit_h) / 2 + y) * @NAME@_GLYPH_SIDE + (@NAME@_GLYPH_SIDE - fit_w) / 2;
    for (x = 0; x < fit_w; x++) {
      long value = lrintf((float)fitted[y * fit_w + x] * (float)gain);
      row[x] = (uint8_t)(value > 255 ? 255 : value);
    }
  }
}

/* Light writing on a dark board is skewed to the light side; dark writing on paper to the dark one. */
static int is_light_on_dark(const uint8_t *grey, long count) {
  long numbers[256] = {0}, i;
  double sum = 0.0, cubes = 0.0, mean;
  for (i = 0; i < count; i++) numbers[grey[i]]++;
  for (i = 0; i < 256; i++) sum += (double)(i * numbers[i]);
  mean = sum / (double)count;
  for (i = 0; i < 256; i++) cubes += (double)numbers[i] * ((double)i - mean) * ((double)i - mean) * ((double)i - mean);
  return cubes > 0.0;
}

/* The middle of the cell that a place in the grid lies in or after, and the distance to it in 1/256 cells. */
static int cell_of(int place, int size, int *share) {
  long at = (256L * CELLS * (2 * place + 1) / size - 256) / 2;
  int cell;
  if (at < 0) at = 0;
  if (at > 256L * (CELLS - 1)) at = 256L * (CELLS - 1);
  cell = (int)(at / 256);
  if (cell > CELLS - 2) cell = CELLS - 2;
  *share = (int)(at - 256L * cell);
  return cell;
}

int @name@_ink(uint8_t *grey, int width, int height) {
  int paper[CELLS][CELLS], wide[CELLS][CELLS];
  long count = (long)width * height, i;
  int x, y, j, k, peak;

  if (width < CELLS || height < CELLS) {
    memset(grey, 0, (size_t)count);
    return 0;
  }
  if (is_light_on_dark(grey, count))
    for (i = 0; i < count; i++) grey[i] = (uint8_t)(255 - grey[i]);
  /* The paper of a cell is the mean of its lightest quarter, from a histogram of 32 levels. */
  for (j = 0; j < CELLS; j++) {
    for (k = 0; k < CELLS; k++) {
      int y0 = j * height / CELLS, y1 = (j + 1) * height / CELLS, x0 = k * width / CELLS, x1 = (k + 1) * width / CELLS;
      int numbers[32] = {0}, level, taken = 0, wanted = ((y1 - y0) * (x1 - x0) + 3) / 4;
      long sums[32] = {0}, sum = 0;
      for (y = y0; y < y1; y++)
        for (x = x0; x < x1; x++) {
          uint8_t value = grey[(long)y * width + x];
          numbers[value >> 3]++;
          sums[value >> 3] += value;
        }
      for (level = 31; level >= 0 && taken < wanted; level--) {
        taken += numbers[level];
        sum += sums[level];
      }
      paper[j][k] = (int)(sum / (taken > 0 ? taken : 1));
    }
  }
  /* A cell within a stroke has no paper of its own, so it takes that of the lightest neighbour... */
  for (j = 0; j < CELLS; j++)
    for (k = 0; k < CELLS; k++) {
      int a, b, best = 0;
      for (a = j - 1; a <= j + 1; a++)
        for (b = k - 1; b <= k + 1; b++)
          if (a >= 0 && b >= 0 && a < CELLS && b < CELLS && paper[a][b] > best) best = paper[a][b];
      wide[j][k] = best;
    }
  /* ...but no lighter than the darkest of its neighbours, where the light falls off. */
  for (j = 0; j < CELLS; j++)
    for (k = 0; k < CELLS; k++) {
      int a, b, least = 255;
      for (a = j - 1; a <= j + 1; a++)
        for (b = k - 1; b <= k + 1; b++)
          if (a >= 0 && b >= 0 && a < CELLS && b < CELLS && wide[a][b] < least) least = wide[a][b];
      paper[j][k] = least;
    }
  for (y = 0; y < height; y++) {
    int down, row = cell_of(y, height, &down);
    for (x = 0; x < width; x++) {
      int across, column = cell_of(x, width, &across);
      long upper = (long)paper[row][column] * (256 - across) + (long)paper[row][column + 1] * across;
      long lower = (long)paper[row + 1][column] * (256 - across) + (long)paper[row + 1][column + 1] * across;
      long here = (upper * (256 - down) + lower * down) / 65536 + DARKNESS;
      long share = 255L * (grey[(long)y * width + x] + DARKNESS) / here;
      grey[(long)y * width + x] = (uint8_t)(share > 255 ? 0 : 255 - share);
    }
  }
  peak = peak_of(grey, width, height, width);
  for (i = 0; i < count; i++)
    if (grey[i] < MIN_INK || 100 * grey[i] < STROKE_PERCENT * peak) grey[i] = 0;
  return peak >= MIN_INK;
}
