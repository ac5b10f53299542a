/**
 * The limits of one exposure, in total and per peer. Time is only checked on events: there are no timers here. Above:
 * expose/tcp.ts, expose/udp.ts.
 */
import type { NodeId } from '../../base/types.ts'
import { TokenBucket } from '../../base/token-bucket.ts'
import type { Limits } from '../model/expose-spec.ts'

/** What one connection was granted. */
export interface Admission {
  /**
   * Counts bytes that have just passed, in either direction. @returns how long the next must wait, ms; undefined if
   * there is no limit.
   */
  readonly pace: ((bytes: number) => number) | undefined
  /** Whether this many bytes may pass now; if so, they count. For data that can be dropped. */
  fits(bytes: number): boolean
  /** Call once, when the connection has ended. */
  release(): void
}

interface Use {
  readonly count: { open: number } // shared with its successors on the same port
  readonly starts: TokenBucket | undefined
  readonly bytes: TokenBucket | undefined
}

export class ExposureLimits {
  readonly #limits: Limits
  readonly #now: () => number
  #all: Use
  readonly #peers = new Map<NodeId, Use>()

  constructor(limits: Limits = {}, now: () => number = () => performance.now()) {
    this.#limits = limits
    this.#now = now
    this.#all = makeUse(limits.newPerSecond, limits.bytesPerSecond)
  }

  /** New limits for the same exposure: connections open under the old ones still count until they end. */
  follow(before: ExposureLimits): void {
    const { newPerSecond, bytesPerSecond, newPerSecondPerPeer, bytesPerSecondPerPeer } = this.#limits
    this.#all = makeUse(newPerSecond, bytesPerSecond, before.#all.count)
    for (const [node, { count }] of before.#peers)
      if (count.open > 0) this.#peers.set(node, makeUse(newPerSecondPerPeer, bytesPerSecondPerPeer, count))
  }

  /** @returns the refusal or the grant. */
  admit(peer: NodeId): Admission | 'connections' | 'rate' {
    const { connections = Infinity, connectionsPerPeer = Infinity } = this.#limits
    const now = this.#now()
    const use = this.#useOf(peer)
    if (this.#all.count.open >= connections || use.count.open >= connectionsPerPeer) return 'connections'
    // The peer's own limit first: one peer's excess must not use up the others' share.
    if (use.starts?.take(now) === false || this.#all.starts?.take(now) === false) return 'rate'
    return new Grant(use, this.#all, this.#now)
  }

  #useOf(peer: NodeId): Use {
    const known = this.#peers.get(peer)
    if (known !== undefined) return known
    if (this.#peers.size >= MAX_IDLE_PEERS)
      for (const [node, { count }] of this.#peers) if (count.open === 0) this.#peers.delete(node)
    const use = makeUse(this.#limits.newPerSecondPerPeer, this.#limits.bytesPerSecondPerPeer)
    this.#peers.set(peer, use)
    return use
  }
}

/** Held by every open connection, so kept minimal. */
class Grant implements Admission {
  readonly #own: Use
  readonly #all: Use
  readonly #now: () => number

  constructor(own: Use, all: Use, now: () => number) {
    this.#own = own
    this.#all = all
    this.#now = now
    own.count.open += 1
    all.count.open += 1
  }

  get pace(): Admission['pace'] {
    const [own, all, now] = [this.#own.bytes, this.#all.bytes, this.#now]
    if (own === undefined && all === undefined) return undefined
    return (bytes) => {
      const at = now()
      return Math.max(own?.spend(at, bytes) ?? 0, all?.spend(at, bytes) ?? 0)
    }
  }

  fits(bytes: number): boolean {
    const [own, all, at] = [this.#own.bytes, this.#all.bytes, this.#now()]
    if (own?.holds(at, bytes) === false || all?.holds(at, bytes) === false) return false
    own?.spend(at, bytes)
    all?.spend(at, bytes)
    return true
  }

  release(): void {
    this.#own.count.open -= 1
    this.#all.count.open -= 1
  }
}

function makeUse(newPerSecond: number | undefined, bytesPerSecond: number | undefined, count = { open: 0 }): Use {
  return {
    count,
    starts: newPerSecond === undefined ? undefined : new TokenBucket(newPerSecond),
    bytes:
      bytesPerSecond === undefined
        ? undefined
        : new TokenBucket(bytesPerSecond, Math.max(bytesPerSecond, MIN_BURST_BYTES)),
  }
}

/** Peers without a connection whose buckets are remembered; forgetting one gives it at most an extra second's worth. */
const MAX_IDLE_PEERS = 4_096
/** One read of a socket, or the largest datagram, passes immediately, however low the rate. */
const MIN_BURST_BYTES = 65_536
