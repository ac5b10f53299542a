/** JSON objects that drivers send, read field by field: a field of another type counts as absent, as in daemons. */
import { DriverRefusal } from './refusal.ts'

export interface JsonObject {
  text(name: string): string // '' if absent
  number(name: string): number // 0 if absent
  flag(name: string): boolean
}

/** @throws DriverRefusal if it is not an object. */
export function jsonObject(what: string, text: string): JsonObject {
  const value = parsed(what, 'bad payload', text)
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new DriverRefusal(`${what}: bad payload: not a JSON object`)
  const field = (name: string): unknown =>
    Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
  const of = <T>(name: string, absent: T): T => {
    const found = field(name)
    return typeof found === typeof absent ? (found as T) : absent
  }
  return { text: (name) => of(name, ''), number: (name) => of(name, 0), flag: (name) => of(name, false) }
}

/** @throws DriverRefusal if it is not a list of texts. */
export function jsonTexts(what: string, text: string): string[] {
  const value = parsed(what, 'invalid JSON', text)
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'string'))
    throw new DriverRefusal(`${what}: invalid JSON: not a list of texts`)
  return value as string[]
}

function parsed(what: string, fault: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new DriverRefusal(`${what}: ${fault}: ${text === '' ? 'unexpected end of JSON input' : 'not JSON'}`)
  }
}
