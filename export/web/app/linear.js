// Systems of equations and fits, as small as NumPy solves them for forms.

/** Solve a square system of equations; rows (n, n) and right (n, k), which are not changed. */
export function solve(rows, right) {
  const n = rows.length, a = rows.map((row, i) => [...row, ...right[i]]), width = a[0].length;
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(a[i][k]) > Math.abs(a[pivot][k])) pivot = i;
    [a[k], a[pivot]] = [a[pivot], a[k]];
    for (let i = k + 1; i < n; i++) {
      const factor = a[i][k] / a[k][k];
      for (let j = k; j < width; j++) a[i][j] -= factor * a[k][j];
    }
  }
  for (let k = n - 1; k >= 0; k--) {
    for (let j = n; j < width; j++) {
      for (let i = k + 1; i < n; i++) a[k][j] -= a[k][i] * a[i][j];
      a[k][j] /= a[k][k];
    }
  }
  return a.map((row) => row.slice(n));
}

/** Fit weighted values (n) at points (n, m) by least squares; returns m factors. `stiff` is added to the diagonal. */
export function leastSquares(points, values, weights = null, stiff = 0) {
  const m = points[0].length, normal = Array.from({ length: m }, (_, i) => new Array(m).fill(0).fill(stiff, i, i + 1));
  const right = Array.from({ length: m }, () => [0]);
  points.forEach((point, n) => {
    const weight = weights ? weights[n] : 1;
    for (let i = 0; i < m; i++) {
      for (let k = 0; k < m; k++) normal[i][k] += weight * point[i] * point[k];
      right[i][0] += weight * point[i] * values[n];
    }
  });
  return solve(normal, right).map(([value]) => value);
}

/** Fit a polynomial of this degree to values at places by least squares; returns a function of the place. */
export function polynomial(places, values, degree) {
  let low = Infinity, high = -Infinity;
  for (const place of places) [low, high] = [Math.min(low, place), Math.max(high, place)];
  // Places relative to their middle keep the equations well conditioned.
  const middle = (low + high) / 2, half = (high - low) / 2 || 1;
  const powers = (place) => {
    const row = [1], x = (place - middle) / half;
    for (let i = 0; i < degree; i++) row.push(row[i] * x);
    return row;
  };
  const factors = leastSquares(Array.from(places, powers), values);
  const fit = (place) => powers(place).reduce((sum, power, i) => sum + power * factors[i], 0);
  /** The change per place at the middle. */
  fit.slope = degree > 0 ? factors[1] / half : 0;
  return fit;
}
