/** What a run of the micro benchmarks is judged by: ratios only, so that the machine does not count. Pure. */

/** Time of one unit of a case ÷ time of one unit of its reference, by name of the case. */
export type Ratios = Readonly<Record<string, number>>

export interface Line {
  readonly name: string
  readonly now: number | undefined
  readonly baseline: number | undefined
  readonly change: number | undefined
  readonly verdict: 'ok' | 'worse' | 'better' | 'new' | 'gone'
}

/** A case may take up to so many times what it took when the baseline was made. Below its inverse the baseline is worth renewing. */
export const WORSE = 1.5

export function compare(now: Ratios, baseline: Ratios): Line[] {
  return [...new Set([...Object.keys(now), ...Object.keys(baseline)])].map((name) => {
    const [a, b] = [now[name], baseline[name]]
    if (a === undefined) return { name, now: a, baseline: b, change: undefined, verdict: 'gone' }
    if (b === undefined) return { name, now: a, baseline: b, change: undefined, verdict: 'new' }
    const change = a / b
    return {
      name,
      now: a,
      baseline: b,
      change,
      verdict: change > WORSE ? 'worse' : change < 1 / WORSE ? 'better' : 'ok',
    }
  })
}

export function tableOfLines(lines: readonly Line[]): string {
  const number = (value: number | undefined): string => (value === undefined ? '' : value.toPrecision(3))
  const rows = [
    ['case', 'now', 'baseline', 'now ÷ baseline', ''],
    ...lines.map(({ name, now, baseline, change, verdict }) => [
      name,
      number(now),
      number(baseline),
      change?.toFixed(2) ?? '',
      verdict,
    ]),
  ]
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
