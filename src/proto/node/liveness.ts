/**
 * Whether a peer is still there: which answers are outstanding, when to ping it, when to give it up. Bits of PEER_…
 * request the work, which chores.ts does. Above: peer.ts.
 */
import type { Instant } from '../../base/types.ts'
import * as k from './constants.ts'

export class Liveness {
  /** -Infinity: never. */
  heardAt: Instant = -Infinity
  #owedSince: Instant = Infinity // our oldest packet since then that expects an answer
  #nextPingAt: Instant = 0
  #keptAliveAt: Instant = -Infinity
  /** Stream bytes arrived since the last ping: silence after them is worth another. */
  #tailPingDue = false
  #isSilenceReported = false

  /** How long an answer has been outstanding, ms. */
  silentFor(now: Instant): number {
    return this.#owedSince === Infinity ? 0 : now - this.#owedSince
  }

  /** It was reported as silent and has not been heard since. */
  get isSilent(): boolean {
    return this.#isSilenceReported
  }

  onHeard(now: Instant): void {
    this.heardAt = now
    this.#owedSince = Infinity
    this.#isSilenceReported = false
  }

  /** Bytes of a stream came. */
  onBytes(): void {
    this.#tailPingDue = true
  }

  /** A packet was sent that expects an answer. @param rttMs of the path, 0 if unknown. */
  onAsked(now: Instant, rttMs: number): void {
    if (this.#owedSince < Infinity) return
    this.#owedSince = now
    this.#nextPingAt = now + Math.min(k.MAX_QUIET_MS, Math.max(k.QUIET_MS, 4 * rttMs))
  }

  /** No answer is outstanding any more: the keys for it are gone. */
  forget(): void {
    this.#owedSince = Infinity
  }

  /**
   * @param keepsAlive streams are open: only then does an idle peer cost packets.
   * @param resolvedAt when the registry was last asked where the peer is.
   * @returns bits of PEER_….
   */
  check(now: Instant, keepsAlive: boolean, resolvedAt: Instant): number {
    if (this.#owedSince === Infinity) {
      if (!keepsAlive || now < this.#keepaliveAt) return 0
      this.#keptAliveAt = now
      this.#tailPingDue = false
      return k.PEER_KEEPALIVE
    }
    if (now < this.#nextPingAt) return 0
    this.#nextPingAt = now + k.PING_REPEAT_MS
    const silentMs = now - this.#owedSince
    if (silentMs >= k.PEER_DEAD_MS) return k.PEER_DEAD
    let chores = k.PEER_SEARCH
    if (now - resolvedAt >= k.RESOLVE_AGAIN_MS) chores |= k.PEER_RESOLVE
    if (silentMs >= k.PEER_SILENT_MS && !this.#isSilenceReported) {
      this.#isSilenceReported = true
      chores |= k.PEER_SILENT
    }
    return chores
  }

  nextTimeout(keepsAlive: boolean): Instant {
    if (this.#owedSince < Infinity) return this.#nextPingAt
    return keepsAlive ? this.#keepaliveAt : Infinity
  }

  get #keepaliveAt(): Instant {
    return Math.max(this.heardAt, this.#keptAliveAt) + (this.#tailPingDue ? k.TAIL_PING_MS : k.KEEPALIVE_MS)
  }
}
