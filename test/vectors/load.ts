/** The conformance vectors next to this file, and small helpers for their conventions. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fromHex } from '../../src/base/bytes.ts'

export type VectorFile =
  | 'addresses'
  | 'beacon'
  | 'extensions'
  | 'extra-2026-08'
  | 'handshake-444'
  | 'identity'
  | 'ipc-today'
  | 'ipc-transcript'
  | 'packets'
  | 'registry-transcript'
  | 'replay'
  | 'sack'
  | 'services'
  | 'stream-transcript'
  | 'tunnel'

/** The caller states the expected type; nothing is checked here, a wrong shape fails in the test. */
export function loadVectors<Shape>(name: VectorFile): Shape {
  return JSON.parse(readFileSync(new URL(`./${name}.json`, import.meta.url), 'utf8')) as Shape
}

export function hex(text: string): Uint8Array {
  const bytes = fromHex(text)
  if (bytes === undefined) throw new Error(`not hex: ${text}`)
  return bytes
}

/** Large payloads are given by a rule: byte i is (i * mul + add) mod 256. */
export interface PayloadRule {
  mul: number
  add: number
  length: number
}

export function payloadOf(rule: PayloadRule): Uint8Array {
  return Uint8Array.from({ length: rule.length }, (_, i) => (i * rule.mul + rule.add) & 0xff)
}

export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** A 64-bit counter, a decimal string in the files, as two 32-bit halves. */
export function counterHalves(decimal: string): { high: number; low: number } {
  const value = BigInt(decimal)
  return { high: Number(value >> 32n), low: Number(value & 0xffff_ffffn) }
}
