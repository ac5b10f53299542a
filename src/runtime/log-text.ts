/** A log line for a person at a terminal: the time of day, the level if it is not the usual one, the sentence, its fields. */
import { styleText } from 'node:util'
import { printableText, wrap } from '../base/printable.ts'

/**
 * @param line JSON, as pino writes it. @param columns of the window: the fields then have lines of their own.
 * @returns the line with its newline; `line` itself if it is something else.
 */
export function logText(line: string, colors: boolean, columns?: number): string {
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
  const sentence = printableText(String(msg))
  if (columns !== undefined) {
    const width = Math.max(columns, MIN_COLUMNS) - INDENT.length
    const [first, ...more] = wrap(name === '' ? sentence : `${name}: ${sentence}`, width)
    const lines = [
      `${paint('dim', clock)}  ${name === '' ? first! : first!.replace(`${name}:`, paint(style, `${name}:`))}`,
      ...more.map((each) => INDENT + each),
      ...aside(fields, width).map((each) => INDENT + paint('dim', each)),
    ]
    return `${lines.join('\n')}\n`
  }
  const details = Object.entries(fields).map(([key, value]) => `${key}=${shown(value)}`)
  return `${[
    paint('dim', clock),
    ...(name === '' ? [] : [paint(style, `${name}:`)]),
    sentence,
    ...(details.length === 0 ? [] : [paint('dim', printableText(details.join(' ')))]),
  ].join(' ')}\n`
}

/** The fields as a person reads them, and what to do. */
function aside({ hint, code: _, nodeId: __, ...fields }: Record<string, unknown>, width: number): string[] {
  const details = Object.entries(fields).map(([key, value]) => `${key} ${shown(value).replace(/^"(.*)"$/s, '$1')}`)
  return [
    ...(details.length === 0 ? [] : wrap(printableText(details.join(', ')), width)),
    ...(typeof hint === 'string' ? wrap(`→ ${printableText(hint)}`, width) : []),
  ]
}

/** Quoted only where a space would make the end unclear. */
function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return /[\s"=]/.test(text) && typeof value === 'string' ? JSON.stringify(value) : text
}

const INDENT = '          '
/** Narrower, and nothing is legible. */
const MIN_COLUMNS = 30

/** By pino's numbers. */
const LEVELS: ReadonlyMap<unknown, readonly [string, 'dim' | 'red' | 'yellow']> = new Map([
  [20, ['debug', 'dim']],
  [30, ['', 'dim']],
  [40, ['warning', 'yellow']],
  [50, ['error', 'red']],
] as const)
