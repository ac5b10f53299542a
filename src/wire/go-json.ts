/** JSON text as Go's encoding/json writes it, so that texts compare and hash alike on both sides. */

/** @param indent Spaces per level; 0 for one line. Keys keep their order in `value`. */
export function formatGoJson(value: unknown, indent = 0): string {
  return JSON.stringify(value, undefined, indent).replace(HTML_UNSAFE, escapeUnicode)
}

/** A JSON object as a record without a prototype's surprises; undefined for anything else. */
export function parseJsonObject(text: string): Readonly<Record<string, unknown>> | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  return asRecord(value)
}

export function asRecord(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return Object.assign(Object.create(null) as Record<string, unknown>, value)
}

/** Go leaves a field that is absent or null at its zero value: here ''. Undefined if it holds anything else. */
export function textField(record: Readonly<Record<string, unknown>>, key: string): string | undefined {
  const value = record[key] ?? ''
  return typeof value === 'string' ? value : undefined
}

/** An integer of 0..max, 0 if absent or null; undefined if it holds anything else. */
export function countField(record: Readonly<Record<string, unknown>>, key: string, max: number): number | undefined {
  const value = record[key] ?? 0
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max ? value : undefined
}

function escapeUnicode(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** Escaped by Go so that JSON may stand inside HTML and JavaScript; they occur only inside strings. */
const HTML_UNSAFE = /[<>&\u2028\u2029]/g
