/** A log line for a person at a terminal: the time of day, the level if it is not the usual one, the sentence, its fields. */
import { styleText } from 'node:util'
import { printableText } from '../base/printable.ts'

/** @param line JSON, as pino writes it. @returns the line with its newline; `line` itself if it is something else. */
export function logText(line: string, colors: boolean): string {
  let record: Record<string, unknown>
  try {
    record = JSON.parse(line) as Record<string, unknown>
  } catch {
    return line
  }
  const { level, time, msg, ...fields } = record
  const [name, style] = LEVELS.get(level) ?? [String(level), 'dim']
  const paint = (with_: 'dim' | 'red' | 'yellow', text: string): string => (colors ? styleText(with_, text) : text)
  const clock = new Date(String(time)).toTimeString().slice(0, 8)
  const details = Object.entries(fields).map(([key, value]) => `${key}=${shown(value)}`)
  return `${[
    paint('dim', clock),
    ...(name === '' ? [] : [paint(style, `${name}:`)]),
    printableText(String(msg)),
    ...(details.length === 0 ? [] : [paint('dim', printableText(details.join(' ')))]),
  ].join(' ')}\n`
}

/** Quoted only where a space would make the end unclear. */
function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return /[\s"=]/.test(text) && typeof value === 'string' ? JSON.stringify(value) : text
}

/** By pino's numbers. */
const LEVELS: ReadonlyMap<unknown, readonly [string, 'dim' | 'red' | 'yellow']> = new Map([
  [20, ['debug', 'dim']],
  [30, ['', 'dim']],
  [40, ['warning', 'yellow']],
  [50, ['error', 'red']],
] as const)
