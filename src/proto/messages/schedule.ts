/**
 * Which message of the outbox is tried when. Messages to one peer continuee after the other, in order; so do its files, beside
 * them. A peer that cannot be reached is tried again after a pause that doubles, and at once when it has been heard.
 */
import type { Instant } from '../../base/types.ts'

/** Instants here are milliseconds since 1970: the outbox outlives the process. */
export interface Scheduled {
  readonly id: string
  readonly peer: string // as written
  readonly kind: 'message' | 'file'
  readonly expiresAt: Instant
}

export type Due = { readonly do: 'try' | 'expire'; readonly id: string }

/** 'later': the peer was not reached; 'refused': it was, and did not take this one. */
export type Outcome = 'gone' | 'later' | 'refused'

interface Lane {
  readonly waiting: Scheduled[]
  busy: string | undefined // id of what is being tried
  failures: number
  nextAt: Instant
}

export class Schedule {
  readonly #lanes = new Map<string, Lane>()
  readonly #random: () => number
  #busy = 0

  /** @param random from 0 to 1. */
  constructor(random: () => number) {
    this.#random = random
  }

  add(now: Instant, entry: Scheduled): void {
    const key = laneOf(entry)
    const lane = this.#lanes.get(key) ?? { waiting: [], busy: undefined, failures: 0, nextAt: now }
    lane.waiting.push(entry)
    this.#lanes.set(key, lane)
  }

  /** What is to be done now; each is reported once, a try until it is settled. Undefined: nothing. */
  poll(now: Instant): Due | undefined {
    for (const [key, lane] of this.#lanes) {
      const old = lane.waiting.find(({ id, expiresAt }) => expiresAt <= now && id !== lane.busy)
      if (old !== undefined) {
        this.#take(key, lane, old.id)
        return { do: 'expire', id: old.id }
      }
      if (lane.busy !== undefined || this.#busy >= MAX_AT_ONCE || isEarly(now, lane.nextAt)) continue
      lane.busy = lane.waiting[0]!.id
      this.#busy += 1
      return { do: 'try', id: lane.busy }
    }
    return undefined
  }

  /** When `poll` has something new to say; Infinity: only after a change. */
  get nextAt(): Instant {
    let next = Infinity
    for (const { waiting, busy, nextAt } of this.#lanes.values()) {
      for (const { id, expiresAt } of waiting) if (id !== busy) next = Math.min(next, expiresAt)
      if (busy === undefined && this.#busy < MAX_AT_ONCE) next = Math.min(next, nextAt)
    }
    return next
  }

  /** How a try ended. */
  settle(now: Instant, id: string, outcome: Outcome): void {
    const [key, lane] = this.#find(id) ?? []
    if (key === undefined || lane?.busy !== id) return
    lane.busy = undefined
    this.#busy -= 1
    if (outcome === 'gone') {
      lane.failures = 0
      lane.nextAt = now
      return this.#take(key, lane, id)
    }
    const spread = 0.75 + this.#random() / 2 // many that went offline together do not come back together
    lane.nextAt = now + Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(lane.failures, 10)) * spread
    lane.failures += 1
    if (outcome === 'refused') lane.waiting.push(lane.waiting.shift()!) // the others may be taken
  }

  /** @returns false if it is being tried, or unknown. */
  remove(id: string): boolean {
    const [key, lane] = this.#find(id) ?? []
    if (key === undefined || lane === undefined || lane.busy === id) return false
    this.#take(key, lane, id)
    return true
  }

  /** These peers have been heard. */
  wake(now: Instant, isThis: (peer: string) => boolean): void {
    for (const lane of this.#lanes.values()) {
      if (lane.busy !== undefined || !isThis(lane.waiting[0]!.peer)) continue
      lane.failures = 0
      lane.nextAt = now
    }
  }

  /** When it is tried next; undefined: it is being tried, or waits for others. */
  nextOf(id: string): Instant | undefined {
    const [, lane] = this.#find(id) ?? []
    return lane === undefined || lane.busy !== undefined ? undefined : lane.nextAt
  }

  #find(id: string): [string, Lane] | undefined {
    for (const entry of this.#lanes) if (entry[1].waiting.some((one) => one.id === id)) return entry
    return undefined
  }

  #take(key: string, lane: Lane, id: string): void {
    lane.waiting.splice(
      lane.waiting.findIndex((one) => one.id === id),
      1,
    )
    if (lane.waiting.length === 0) this.#lanes.delete(key)
  }
}

function laneOf({ peer, kind }: Scheduled): string {
  return `${kind} ${peer}`
}

/** A pause is never longer than this: otherwise the clock was set back. */
function isEarly(now: Instant, at: Instant): boolean {
  return now < at && at - now <= 2 * MAX_PAUSE_MS
}

/** A peer that restarts is back after a few seconds. */
const FIRST_PAUSE_MS = 2_000
/** How long a message waits at most once its peer is back, unless we hear the peer before. */
export const MAX_PAUSE_MS = 60_000
/** Each try of a peer that is away costs a question to the registry and some datagrams. */
export const MAX_AT_ONCE = 8
