/** Durations as people write them: `90s`, `10m`, `2h`, `1d`. */

/** `90s`, `10m`, `2h`, `1d` as ms; undefined for anything else, or beyond MAX_DURATION_MS. */
export function parseDuration(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,7})([smhd])$/.exec(text) ?? []
  const ms = Number(number) * (UNITS_MS[unit ?? ''] ?? 0)
  return ms > 0 && ms <= MAX_DURATION_MS ? ms : undefined
}

/** In the largest unit that divides it. */
export function formatDuration(ms: number): string {
  const [unit, size] = Object.entries(UNITS_MS).findLast(([, each]) => ms % each === 0) ?? ['s', 1_000]
  return `${ms / size}${unit}`
}

export const DURATION_FORM = 'a duration such as 90s, 10m, 2h or 1d, at most 24d'

const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** The longest wait of one timer of the runtime. */
const MAX_DURATION_MS = 24 * 86_400_000
