/** Turns yaml and zod errors into positions and sentences: line, column, what was expected, what was found. */
import {
  isMap,
  isScalar,
  type Document,
  type LineCounter,
  type Node,
  type YAMLError,
  type Pair,
  type Scalar,
} from 'yaml'
import type { z } from 'zod'

export interface Problem {
  readonly line: number // from 1
  readonly column: number // from 1
  readonly path: string // map[0].peer; empty for the document
  readonly message: string
}

type Path = readonly PropertyKey[]

export function explainSyntax(error: YAMLError, lines: LineCounter): Problem {
  const { line, col } = lines.linePos(error.pos[0])
  const message =
    error.code === 'DUPLICATE_KEY' ? 'duplicate key' : `not YAML: ${error.message.replace(/\n[\s\S]*$/, '')}`
  return { line, column: col, path: '', message }
}

/** One problem, or one for each unknown key. */
export function explainIssue(issue: z.core.$ZodIssue, doc: Document, lines: LineCounter): Problem[] {
  const place = (path: Path, at: number): Omit<Problem, 'message'> => placeAt(path, at, lines)
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const path = [...issue.path, key]
      return { ...place(path, offsetOf(doc, path, 'key')), message: explainUnknown(key, issue.message.split(', ')) }
    })
  }
  const expected = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message
  const at = place(issue.path, offsetOf(doc, issue.path, issue.code === 'invalid_key' ? 'key' : 'value'))
  if (issue.code === 'custom' && issue.params?.whole === true) return [{ ...at, message: expected }]
  if (issue.code === 'invalid_key')
    return [{ ...at, message: `expected ${expected}, found ${describe(issue.path.at(-1))}` }]
  const node = nodeAt(doc, issue.path)
  if (node === undefined) return [{ ...at, message: `missing; expected ${expected}` }]
  return [{ ...at, message: `expected ${expected}, found ${describe(node.toJS(doc))}${hintFor(issue, node)}` }]
}

/** Where the value at `path` begins. */
export function positionOf(path: Path, doc: Document, lines: LineCounter): Omit<Problem, 'message'> {
  return placeAt(path, offsetOf(doc, path, 'value'), lines)
}

function placeAt(path: Path, at: number, lines: LineCounter): Omit<Problem, 'message'> {
  const { line, col } = lines.linePos(at)
  return { line, column: col, path: formatPath(path) }
}

function explainUnknown(key: string, known: readonly string[]): string {
  const near = known.find(
    (candidate) =>
      distance(key.toLowerCase(), candidate.toLowerCase()) <= Math.max(1, Math.floor(candidate.length / 3)),
  )
  return `no such key; ${near === undefined ? `expected one of ${known.join(', ')}` : `did you mean "${near}"?`}`
}

/** YAML guesses types; if the guess was not intended, say how to write it. */
function hintFor(issue: z.core.$ZodIssue, node: Node): string {
  if (!isScalar(node)) return ''
  if (issue.code === 'invalid_format' && typeof node.value === 'string' && /^\d+$/.test(node.value))
    return ' (write it without quotes)' // a port, which may be a string such as "53/udp"
  const { value, source } = node as Scalar & { source?: string }
  const written = source ?? String(value)
  if (issue.code === 'invalid_union' && typeof value === 'number' && /hostname/.test(issue.message))
    return ` (write it in quotes: "${written}")`
  if (issue.code !== 'invalid_type') return ''
  if (issue.expected === 'array' && typeof value === 'string') return ` (write it in brackets: [${written}])`
  if (issue.expected === 'string' && (typeof value === 'number' || typeof value === 'boolean'))
    return ` (write ${quotedForm(issue.message, written)})`
  if (issue.expected === 'boolean' && typeof value === 'string' && /^(yes|no|on|off|true|false)$/i.test(value))
    return ' (write true or false, without quotes)'
  if (typeof value === 'string' && /^\d+$/.test(value)) return ' (write it without quotes)'
  return ''
}

/** Of a number where a string is expected: quotes alone do not make a duration or an address of it. */
function quotedForm(expected: string, written: string): string {
  if (expected.startsWith('a duration')) return `it with its unit: "${written}s"`
  if (expected.startsWith('an IP address and port')) return `it with its address: "127.0.0.1:${written}"`
  return `it in quotes: "${written}"`
}

function describe(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'keys with values'
  if (typeof value === 'string')
    return `the string ${JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)}`
  return typeof value === 'number' ? `the number ${value}` : String(value)
}

/** Where the key or value at `path` begins; if absent, the nearest enclosing element. */
function offsetOf(doc: Document, path: Path, what: 'key' | 'value'): number {
  for (let length = path.length; length > 0; length--) {
    const part = path.slice(0, length)
    const found =
      what === 'key' && length === path.length ? pairAt(doc, part)?.key : (nodeAt(doc, part) ?? pairAt(doc, part)?.key)
    const range = (found as Node | null | undefined)?.range
    if (range) return range[0]
  }
  return doc.contents?.range?.[0] ?? 0
}

function nodeAt(doc: Document, path: Path): Node | undefined {
  let node: unknown = doc.contents
  for (const [index, key] of path.entries()) {
    node = isMap(node)
      ? pairAt(doc, path.slice(0, index + 1))?.value
      : (node as { get?: (key: unknown, keep: true) => unknown } | null)?.get?.(key, true)
    if (
      node !== null &&
      typeof node === 'object' &&
      'source' in node &&
      'resolve' in node &&
      typeof node.resolve === 'function'
    )
      node = node.resolve(doc) // an alias
  }
  return (node as Node | null) ?? undefined
}

/** Keys are compared as strings, as in JavaScript: `80:` is the key "80". */
function pairAt(doc: Document, path: Path): Pair | undefined {
  const parent = path.length === 1 ? doc.contents : nodeAt(doc, path.slice(0, -1))
  if (!isMap(parent)) return undefined
  return parent.items.find((pair) => String(isScalar(pair.key) ? pair.key.value : pair.key) === String(path.at(-1)))
}

function formatPath(path: Path): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '')
}

/** Levenshtein distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length]!
}
