/** What routes are made of, and how they read the body of a request. */
import { PilotError } from '../base/errors.ts'
import type { AdminControl } from '../gateway/control.ts'

export type Body = Readonly<Record<string, unknown>>

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT'
  readonly call: (control: AdminControl, body: Body) => unknown
}

export function get(call: (control: AdminControl) => unknown): Route {
  return { method: 'GET', call }
}

export function post(call: (control: AdminControl, body: Body) => unknown): Route {
  return { method: 'POST', call }
}

export function put(call: (control: AdminControl, body: Body) => unknown): Route {
  return { method: 'PUT', call }
}

export function parseBody(text: string): Body {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new PilotError('USAGE', 'the request body is not JSON')
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw new PilotError('USAGE', 'the request body is not a JSON object')
  return value as Body
}

export function textOf(body: Body, key: string, most: number): string {
  const value = body[key]
  if (typeof value === 'string' && value.length >= 1 && value.length <= most) return value
  const found =
    value === undefined || value === ''
      ? 'is missing'
      : typeof value === 'string'
        ? `has ${value.length} characters`
        : 'is not a string'
  throw new PilotError('USAGE', `"${key}" ${found}; expected a string of 1 to ${most} characters`)
}

export function optionalText(body: Body, key: string, most: number): string | undefined {
  return body[key] === undefined ? undefined : textOf(body, key, most)
}

export function numberOf(body: Body, key: string, least: number, most: number): number {
  const value = body[key]
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value
  throw new PilotError('USAGE', `"${key}": expected a whole number from ${least} to ${most}`)
}
