/** Statistics over samples. Pure. */

/** Nearest rank: always an observed value. NaN if empty. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1))] ?? Number.NaN
}

/** For an even count, the mean of the middle two. NaN if empty. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length % 2 === 1) return sorted[middle]!
  return sorted.length === 0 ? Number.NaN : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** A value of one round; a round that failed has none. */
export type Sample = number | null

/**
 * Median over the rounds of `values[i] / reference[i]`: what drifts during a run drifts for both. NaN without a round
 * that has both.
 */
export function medianRatio(values: readonly Sample[], reference: readonly Sample[]): number {
  return median(
    values.flatMap((value, i) => {
      const other = reference[i]
      return value === null || other === null || other === undefined || other === 0 ? [] : [value / other]
    }),
  )
}

export function present(values: readonly Sample[]): number[] {
  return values.filter((value) => value !== null)
}

/** Largest minus smallest, relative to the median: how far to trust it. */
export function spread(values: readonly number[]): number {
  return (Math.max(...values) - Math.min(...values)) / median(values)
}
