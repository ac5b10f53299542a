/** Control pings under way: what each was for, when it left, along which path. */
import type { Instant } from '../../base/types.ts'
import type { Path } from '../path/path.ts'
import { MAX_PINGS, PING_EXPIRY_MS } from './constants.ts'
import type { Outbound } from './outbound.ts'
import type { Peer } from './peer.ts'
import type { PingApp } from './views.ts'

export type PingPurpose = 'user' | 'alive' | 'confirm' | 'size' | 'hello'

export interface Ping {
  readonly peer: Peer
  readonly path: Path | undefined // undefined: none was known
  readonly purpose: PingPurpose
  readonly payloadBytes: number
  readonly sentAt: Instant
  readonly app: PingApp | undefined // of 'user' pings
}

export class Pings {
  readonly #outbound: Outbound
  readonly #underway = new Map<number, Ping>() // in order of sending
  #seq = 0

  constructor(outbound: Outbound) {
    this.#outbound = outbound
  }

  /** @param along undefined: the current path. */
  send(
    now: Instant,
    peer: Peer,
    along: Path | undefined,
    purpose: PingPurpose,
    payloadBytes: number,
    app?: PingApp,
  ): void {
    this.#expire(now)
    const path = along ?? peer.paths.current
    this.#seq = (this.#seq + 1) >>> 0
    this.#underway.set(this.#seq, { peer, path, purpose, payloadBytes, sentAt: now, app })
    if (purpose !== 'size') path?.onProbe(now)
    this.#outbound.ping(peer, path, this.#seq, new Uint8Array(payloadBytes), purpose === 'confirm')
  }

  /** A ping along the current path that carries what the peer should know of us. */
  sendHello(now: Instant, peer: Peer, payload: Uint8Array): void {
    this.#expire(now)
    const path = peer.paths.current
    this.#seq = (this.#seq + 1) >>> 0
    this.#underway.set(this.#seq, {
      peer,
      path,
      purpose: 'hello',
      payloadBytes: payload.length,
      sentAt: now,
      app: undefined,
    })
    path?.onProbe(now)
    this.#outbound.ping(peer, path, this.#seq, payload)
  }

  /** The ping that this answer belongs to; each is answered once, by the peer it was sent to. */
  take(seq: number, peer: Peer): Ping | undefined {
    const ping = this.#underway.get(seq)
    if (ping?.peer !== peer) return undefined
    this.#underway.delete(seq)
    return ping
  }

  #expire(now: Instant): void {
    for (const [seq, ping] of this.#underway) {
      if (this.#underway.size < MAX_PINGS && now - ping.sentAt < PING_EXPIRY_MS) return
      this.#underway.delete(seq)
    }
  }
}
