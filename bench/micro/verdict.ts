/** How a run of the micro benchmarks is judged: by ratios only, so that the machine does not matter. Pure. */

/** Time of one unit of a case ÷ time of one unit of its reference, by name of the case. */
export type Ratios = Readonly<Record<string, number>>

export interface Line {
  readonly name: string
  readonly now: number | undefined
  readonly baseline: number | undefined
  readonly change: number | undefined
  readonly verdict: 'ok' | 'worse' | 'better' | 'new' | 'gone'
}

/**
 * A case may take this many times what it took when the baseline was made: twelve runs on a machine with other work on it
 * stayed within 1.1 for ciphers and codecs, and within 1.4 for the streams, which make garbage. Below the inverse the
 * baseline is stale: it would let through whatever was gained since.
 */
export const WORSE = 1.3
export const STREAM_WORSE = 1.6

/** What holds on every machine without a baseline: `less` takes at most `times` as long as `more`. */
export interface Relation {
  readonly less: string
  readonly more: string
  readonly times: number
}

export const RELATIONS: readonly Relation[] = [
  { less: 'open, 1400 B', more: 'seal, 1400 B', times: 1.3 }, // the same cipher
  { less: 'seal, 60000 B', more: 'seal, 1152 B', times: 20 }, // 52 times the bytes: a large packet must pay
  { less: 'stream, packets of 1400 B, 1 % lost', more: 'stream, packets of 1400 B', times: 2 }, // recovery is not a scan of everything
  { less: 'packet decode', more: 'packet encode', times: 1.5 },
]

/** @returns A line for each relation that does not hold. */
export function brokenRelations(now: Ratios, relations: readonly Relation[] = RELATIONS): string[] {
  return relations.flatMap(({ less, more, times }) => {
    const [a, b] = [now[less], now[more]]
    if (a === undefined || b === undefined) return [`${less} or ${more} was not measured`]
    return a > times * b ? [`${less} takes ${(a / b).toFixed(2)} times what ${more} takes; ${times} is the limit`] : []
  })
}

function limitOf(name: string): number {
  return name.startsWith('stream') ? STREAM_WORSE : WORSE
}

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
      verdict: change > limitOf(name) ? 'worse' : change < 1 / limitOf(name) ? 'better' : 'ok',
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
