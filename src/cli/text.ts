/** Records as text: tables, sizes, times. Pure. */
import type { PathRecord } from '../gateway/model/records.ts'

/**
 * Columns as wide as their widest cell; numeric columns are right-aligned.
 * @param columns width of the terminal: a table that is wider becomes a block of lines for each row.
 */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  heading: (text: string) => string,
  columns?: number,
): string[] {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  const isNumber = head.map(
    (_, column) =>
      rows.some((row) => /\d/.test(row[column]!)) &&
      rows.every((row) => /^[\d.,]+( [a-zA-Z%]+)?$|^-?$/.test(row[column]!)),
  )
  const width = widths.reduce((sum, one) => sum + one + 2, -2)
  if (columns !== undefined && width > columns) return blocks(head, rows, heading)
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) =>
        isNumber[column] === true ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join('  ')
      .trimEnd()
  return [heading(line(head)), ...rows.map(line)]
}

/** Each row as lines of name and value, without the values that say nothing; an empty line in between. */
function blocks(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  heading: (text: string) => string,
): string[] {
  const names = head.map((name) => name.trim())
  const width = Math.max(...names.map((name) => name.length))
  return rows.flatMap((row, index) => [
    ...(index === 0 ? [] : ['']),
    ...names.flatMap((name, column) =>
      /^-?$/.test(row[column]!) ? [] : [`${heading(name.padEnd(width))}  ${row[column]!.trim()}`],
    ),
  ])
}

/** Decimal units, as disks and networks count. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 999.95 && unit < BYTE_UNITS.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${BYTE_UNITS[unit]}`
}

export function formatAge(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  if (seconds < 1) return `${Math.round(ms)} ms`
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const
  const first = parts.findIndex(([value]) => value > 0)
  return parts
    .slice(first, first + 2)
    .filter(([value], index) => index === 0 || value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ')
}

export function formatRtt(ms: number): string {
  return `${ms < 10 ? ms.toFixed(2) : ms.toFixed(1)} ms`
}

/** Time until an instant, without seconds that no one needs. @param at RFC 3339. */
export function formatUntil(at: string, now = Date.now()): string {
  const ms = Math.max(0, Date.parse(at) - now)
  const step = ms >= 60_000 ? 10_000 : 1_000
  return formatAge(Math.round(ms / step) * step)
}

/** The time of day, of RFC 3339, as the machine's clock shows it. */
export function clock(at: string): string {
  return new Date(at).toTimeString().slice(0, 8)
}

/** Bits a second, in decimal units. */
export function formatRate(bitsPerSecond: number): string {
  const [unit, value] =
    bitsPerSecond >= 1e9
      ? ['Gbit/s', bitsPerSecond / 1e9]
      : bitsPerSecond >= 1e6
        ? ['Mbit/s', bitsPerSecond / 1e6]
        : ['kbit/s', bitsPerSecond / 1e3]
  return `${value.toFixed(value < 10 ? 2 : 1)} ${unit}`
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

/** An unverified name, with the fingerprint for a person to compare; undefined without a name. */
export function unverified(name: string | null, fingerprint: string | null): string | undefined {
  if (name === null) return undefined
  return `${name} (unverified${fingerprint === null ? '' : `, ${fingerprint}`})`
}

/** Identifies it for people: by hostname if there is one. */
export function formatNode(node: {
  readonly hostname: string | null
  readonly address: string
  readonly nodeId: number
}): string {
  const address = node.nodeId === 0 ? 'not registered yet' : node.address
  return node.hostname === null ? address : `${node.hostname} (${address})`
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB']

/** A kind of path, for people: a relay that is reached without UDP says so. */
export function pathName({ kind, transport }: Pick<PathRecord, 'kind' | 'transport'>): string {
  return transport === 'tcp' ? `${kind} (tcp)` : kind
}
