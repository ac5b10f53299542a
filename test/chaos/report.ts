/** What the suite prints: one line per run as it ends, the table of all rows at the end. */
import type { LoadedRow, Row, RowResult } from './row.ts'

export function runLine({ row, seed, problems, recoveryMs, silenceMs, busy, elapsedMs, notes }: RowResult): string {
  const verdict = problems.length === 0 ? 'ok    ' : row.knownToFail === undefined ? 'FAILED' : 'known '
  const recovery = recoveryMs === undefined ? '' : `, recovered after ${seconds(recoveryMs)}`
  const silence = silenceMs === 0 ? '' : `, silent for ${seconds(silenceMs)}`
  const head = `${verdict} ${row.name.padEnd(NAME_COLUMNS)} seed ${seed}, ${seconds(elapsedMs)}${recovery}${silence}, machine ${busy.toFixed(1)}x`
  return [
    head,
    ...problems.map(({ kind, text }) => `         ${kind}: ${text}`),
    ...notes.map((note) => `         ${note}`),
  ].join('\n')
}

export function table(results: readonly RowResult[]): string {
  const rows = [...new Set(results.map(({ row }) => row))]
  const lines = rows.map((row) =>
    tableLine(
      row,
      results.filter((result) => result.row === row),
    ),
  )
  const header = ['row', 'runs', 'bytes', 'hangs', 'recovery s', 'promise', 'log', 'RSS MiB', 'fds', 'result']
  const widths = header.map((title, column) => Math.max(title.length, ...lines.map((line) => line[column]!.length)))
  const text = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd()
  return [text(header), text(widths.map((width) => '─'.repeat(width))), ...lines.map(text)].join('\n')
}

function tableLine(row: Row, results: readonly RowResult[]): string[] {
  const most = (of: (result: RowResult) => number): number => Math.max(0, ...results.map(of))
  const sum = (of: (result: RowResult) => number): number => results.reduce((total, result) => total + of(result), 0)
  const failed = results.filter(({ problems }) => problems.length > 0).length
  return [
    row.name,
    String(results.length),
    String(sum(({ wrongBytes }) => wrongBytes)),
    String(sum(({ hangs }) => hangs)),
    range(results.flatMap(({ recoveryMs }) => (recoveryMs === undefined ? [] : [recoveryMs]))),
    'fact' in row ? '' : promised(row),
    String(most(({ logLines }) => logLines)),
    (most(({ peakRssBytes }) => peakRssBytes) / 2 ** 20).toFixed(0),
    String(most(({ descriptors }) => descriptors)),
    failed === 0 ? 'ok' : row.knownToFail === undefined ? `${failed} FAILED` : `${failed} known: ${row.knownToFail}`,
  ]
}

function promised({ promise: { recoveryMs, silenceMs } }: LoadedRow): string {
  return silenceMs === undefined
    ? (recoveryMs / 1_000).toFixed(0)
    : `${recoveryMs / 1_000}, silent ${silenceMs / 1_000}`
}

/** Minimum, median, maximum. */
function range(times: readonly number[]): string {
  if (times.length === 0) return ''
  const sorted = times.toSorted((a, b) => a - b)
  return [sorted[0]!, sorted[sorted.length >> 1]!, sorted.at(-1)!].map((ms) => (ms / 1_000).toFixed(1)).join(' / ')
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}

const NAME_COLUMNS = 24
