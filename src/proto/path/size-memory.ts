/**
 * Packet sizes tried towards each address, by all paths of the node together. The kernel remembers a path MTU by
 * address, not by port: after one probe was too large it fragments the next, whose arrival would prove nothing. So an
 * unanswered size is not sent to that address again, on any path, until the kernel has forgotten.
 */
import type { Instant } from '../../base/types.ts'
import { RAISE_AGAIN_MS } from './constants.ts'

export class SizeMemory {
  readonly #tries = new Map<string, { readonly at: Instant; proven: boolean }>() // oldest first

  mayTry(now: Instant, address: string, payloadBytes: number): boolean {
    const tried = this.#tries.get(`${address} ${payloadBytes}`)
    return tried === undefined || tried.proven || now - tried.at >= RAISE_AGAIN_MS
  }

  onTry(now: Instant, address: string, payloadBytes: number): void {
    const key = `${address} ${payloadBytes}`
    const proven = this.#tries.get(key)?.proven ?? false
    this.#tries.delete(key)
    if (this.#tries.size >= MAX_TRIES) this.#tries.delete(this.#tries.keys().next().value!)
    this.#tries.set(key, { at: now, proven })
  }

  onProven(address: string, payloadBytes: number): void {
    const tried = this.#tries.get(`${address} ${payloadBytes}`)
    if (tried !== undefined) tried.proven = true
  }

  /** A size that used to pass no longer does. */
  onBlackHole(now: Instant, address: string, payloadBytes: number): void {
    this.#tries.delete(`${address} ${payloadBytes}`)
    this.#tries.set(`${address} ${payloadBytes}`, { at: now, proven: false })
  }

  /** Our network has changed: sizes learned on the old one do not apply. */
  clear(): void {
    this.#tries.clear()
  }
}

/** The oldest is evicted: at worst one size is tried once too often. */
const MAX_TRIES = 4_096
