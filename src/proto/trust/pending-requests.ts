/**
 * Requests for trust that wait for a person: few enough to be read. Anybody can make new identities, so a full list makes
 * room instead of refusing; requesters repeat themselves, so those that do not are the first to go.
 */
import { equalBytes, fromBase64 } from '../../base/bytes.ts'
import type { NodeId } from '../../base/types.ts'
import type { PendingEntry } from '../../wire/trust-file.ts'

/** A request that nobody decides any more. */
export interface DroppedRequest {
  readonly entry: PendingEntry
  readonly why: 'full' | 'expired'
}

export class PendingRequests {
  readonly #entries = new Map<NodeId, PendingEntry>() // heard of longest ago first
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

  /** Somebody else than the owner of `key` asked under this name: which of them it means is for a person to say. */
  hasNamesake(hostname: string, key: Uint8Array): boolean {
    for (const entry of this.#entries.values()) {
      const other = entry.hostname === hostname ? fromBase64(entry.publicKey) : undefined
      if (other !== undefined && !equalBytes(other, key)) return true
    }
    return false
  }

  /**
   * A new request, or another one of the same node. A repetition, word for word, keeps it alive.
   * @param isWanted requests that a person waits for: they are not dropped.
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
    // The day is kept fresh, so that it does not expire; not each repetition is worth a write.
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

  /** @param before RFC 3339, UTC: requests not repeated since then are dropped. @returns whether there were some. */
  expire(before: string): boolean {
    const { length } = this.#dropped
    for (const entry of this.#entries.values())
      if (entry.receivedAt !== '' && entry.receivedAt < before) this.#drop(entry, 'expired')
    return this.#dropped.length > length
  }

  /** What was dropped since the last call. */
  takeDropped(): readonly DroppedRequest[] {
    return this.#dropped.splice(0)
  }

  /**
   * A flood mostly says the same over and over, so the largest group of equal justifications gives way, in it the request
   * that was repeated longest ago; without such a group that one of all.
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
