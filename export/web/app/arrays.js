// What NumPy and Python do with numbers.

/** Round as Python does: a half goes to the even number. */
export function roundHalfEven(value) {
  const low = Math.floor(value), rest = value - low;
  if (rest === 0.5) return low % 2 ? low + 1 : low;
  return rest < 0.5 ? low : low + 1;
}

/** Return the values in ascending order, as a copy. */
export const ascending = (values) => Float64Array.from(values).sort();

/** Return the percentile of one value or more, interpolated linearly, as runtime/pixels.py does. */
export function percentile(values, percent) {
  const ordered = ascending(values);
  const position = (percent / 100) * (ordered.length - 1), low = Math.trunc(position);
  const below = ordered[low], above = ordered[Math.min(low + 1, ordered.length - 1)];
  const share = position - low;
  // Interpolate from the nearer value, so that two equal values give exactly that value.
  return share < 0.5 ? below + (above - below) * share : above - (above - below) * (1 - share);
}

/** Return the median of one value or more; of an even number, the mean of the middle two. */
export function median(values) {
  const ordered = ascending(values), half = ordered.length >> 1;
  return ordered.length % 2 ? ordered[half] : (ordered[half - 1] + ordered[half]) / 2;
}

/** Return the places of the values in ascending order; equal ones stay in theirs (JavaScript's sort is stable). */
export const argsort = (values) => Array.from(values.keys()).sort((a, b) => values[a] - values[b]);

/** Return the first place in ascending values before which all are less than `value`; with isRight, at most `value`. */
export function searchsorted(values, value, isRight = false) {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isRight ? values[middle] <= value : values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Return the sums of the first, the first two, ... of the values. */
export function cumsum(values) {
  let sum = 0;
  return Float64Array.from(values, (value) => (sum += value));
}

/** Return `count` numbers from `start` to `end`, evenly spaced. */
export const linspace = (start, end, count) =>
  Array.from({ length: count }, (_, i) => (i === count - 1 ? end : i * ((end - start) / (count - 1)) + start));

/** Return the numbers from `start` up to `end`, without it. */
export const range = (start, end) => Array.from({ length: Math.max(0, end - start) }, (_, i) => start + i);

/** Return the mean of one value or more. */
export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Return the first place of the largest value. */
export function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** Return the value, or the nearer of two limits if it lies beyond them. */
export const clipped = (value, low, high) => Math.max(low, Math.min(high, value));

/** Compare two lists of numbers as Python compares tuples: negative if the first comes before the second. */
export function compared(a, b) {
  const i = a.findIndex((value, k) => value !== b[k]);
  return i < 0 ? a.length - b.length : a[i] - (b[i] ?? -Infinity);
}
