/**
 * Trust requests that await a decision: few enough to be read. Anyone can create new identities, so a full list makes
 * room instead of refusing. Requesters repeat their requests, so those that do not are dropped first.
 */
import { equalBytes, fromBase64 } from '../../base/bytes.ts'
import type { NodeId } from '../../base/types.ts'
import type { PendingEntry } from '../../wire/trust-file.ts'

/** A request that was dropped undecided. */
export interface DroppedRequest {
  readonly entry: PendingEntry
  readonly why: 'full' | 'expired'
}

export class PendingRequests {
  readonly #entries = new Map<NodeId, PendingEntry>() // least recently repeated first
  #dropped: DroppedRequest[] = []

  get all(): readonly PendingEntry[] {
    return [...this.#entries.values()]
  }
  get size(): number {
    return this.#entries.size
  }

  of(node: NodeId): PendingEntry | undefined {
    return this.#entries.get(node)
  }

  load(entry: PendingEntry): void {
    this.#entries.set(entry.nodeId, entry)
  }

  /** A node with a key other than `key` asked under this name: a person must decide which one it means. */
  hasNamesake(hostname: string, key: Uint8Array): boolean {
    for (const entry of this.#entries.values()) {
      const other = entry.hostname === hostname ? fromBase64(entry.publicKey) : undefined
      if (other !== undefined && !equalBytes(other, key)) return true
    }
    return false
  }

  /**
   * A new request, or another one from the same node. An exact repetition keeps it alive.
   * @param isWanted requests that a person is waiting for: they are not dropped.
   */
  put(entry: PendingEntry, isWanted: (entry: PendingEntry) => boolean): 'new' | 'refreshed' | 'repeated' | 'full' {
    const waiting = this.#entries.get(entry.nodeId)
    const repeats = waiting?.publicKey === entry.publicKey && waiting.justification === entry.justification
    if (waiting === undefined && this.#entries.size >= MAX_PENDING && !this.#makeRoom(isWanted)) return 'full'
    this.#entries.delete(entry.nodeId)
    if (!repeats) {
      this.#entries.set(entry.nodeId, entry)
      return 'new'
    }
    // Only the day is updated, so that it does not expire: not every repetition is worth a write.
    const isOfToday = waiting.receivedAt.slice(0, DATE_CHARS) === entry.receivedAt.slice(0, DATE_CHARS)
    this.#entries.set(entry.nodeId, isOfToday ? waiting : { ...waiting, receivedAt: entry.receivedAt })
    return isOfToday ? 'repeated' : 'refreshed'
  }

  delete(node: NodeId): boolean {
    return this.#entries.delete(node)
  }

  clear(): void {
    this.#entries.clear()
  }

  /** @param before RFC 3339, UTC: requests not repeated since then are dropped. @returns whether there were any. */
  expire(before: string): boolean {
    const { length } = this.#dropped
    for (const entry of this.#entries.values())
      if (entry.receivedAt !== '' && entry.receivedAt < before) this.#drop(entry, 'expired')
    return this.#dropped.length > length
  }

  /** The requests dropped since the last call. */
  takeDropped(): readonly DroppedRequest[] {
    return this.#dropped.splice(0)
  }

  /**
   * A flood usually repeats one text, so the largest group with equal justifications loses its least recently repeated
   * request; without such a group, the whole list does.
   */
  #makeRoom(isWanted: (entry: PendingEntry) => boolean): boolean {
    const groups = new Map<string, PendingEntry[]>()
    for (const entry of this.#entries.values()) {
      if (isWanted(entry)) continue
      const group = groups.get(entry.justification)
      if (group === undefined) groups.set(entry.justification, [entry])
      else group.push(entry)
    }
    let largest: readonly PendingEntry[] = []
    for (const group of groups.values()) if (group.length > largest.length) largest = group
    if (largest[0] === undefined) return false
    this.#drop(largest[0], 'full')
    return true
  }

  #drop(entry: PendingEntry, why: DroppedRequest['why']): void {
    this.#entries.delete(entry.nodeId)
    if (this.#dropped.length < MAX_PENDING) this.#dropped.push({ entry, why })
  }
}

/** More than a person reads at once; about 100 KB in the trust file. */
export const MAX_PENDING = 256
/** `2026-11-30` of an RFC 3339 text. */
const DATE_CHARS = 10
