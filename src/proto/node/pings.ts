/** Control pings under way: what each was for, when it left, along which path. */
import { readU32 } from '../../base/bytes.ts'
import type { Instant, RandomBytes } from '../../base/types.ts'
import type { Path } from '../path/path.ts'
import { MAX_PINGS, PING_BYTES, PING_EXPIRY_MS } from './constants.ts'
import type { Outbound } from './outbound.ts'
import type { Peer } from './peer.ts'
import type { PingApp } from './views.ts'

/** `large` and `small` make a pair: path/size-check.ts. */
/** `empty` carries no bytes, `behind` follows it: make.ts. */
export type PingPurpose = 'user' | 'alive' | 'confirm' | 'size' | 'hello' | 'large' | 'small' | 'empty' | 'behind'

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
  readonly #random: RandomBytes

  constructor(outbound: Outbound, random: RandomBytes) {
    this.#outbound = outbound
    this.#random = random
  }

  /** @param along undefined: the current path. @param payloadBytes at least; none is shorter than PING_BYTES. */
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
    const seq = this.#drawSeq()
    const payload = new Uint8Array(purpose === 'empty' ? 0 : Math.max(payloadBytes, PING_BYTES))
    this.#underway.set(seq, { peer, path, purpose, payloadBytes, sentAt: now, app })
    if (purpose === 'large' || purpose === 'small') path?.sizeCheck.onProof(purpose)
    if (purpose !== 'large' && purpose !== 'size' && purpose !== 'empty') path?.onProbe(now)
    this.#outbound.ping(peer, path, seq, payload, purpose === 'confirm')
  }

  /** A ping along the current path that carries our path hello. */
  sendHello(now: Instant, peer: Peer, payload: Uint8Array): void {
    this.#expire(now)
    const path = peer.paths.current
    const seq = this.#drawSeq()
    this.#underway.set(seq, {
      peer,
      path,
      purpose: 'hello',
      payloadBytes: payload.length,
      sentAt: now,
      app: undefined,
    })
    path?.onProbe(now)
    this.#outbound.ping(peer, path, seq, payload)
  }

  /** The ping that this answer belongs to; each is answered once, by the peer it was sent to. */
  take(seq: number, peer: Peer): Ping | undefined {
    const ping = this.#underway.get(seq)
    if (ping?.peer !== peer) return undefined
    this.#underway.delete(seq)
    return ping
  }

  /** Unpredictable: an answer proves a path, and a peer could forge the source of its answer. */
  #drawSeq(): number {
    let seq = readU32(this.#random(4), 0)
    while (this.#underway.has(seq)) seq = (seq + 1) >>> 0
    return seq
  }

  #expire(now: Instant): void {
    for (const [seq, ping] of this.#underway) {
      if (this.#underway.size < MAX_PINGS && now - ping.sentAt < PING_EXPIRY_MS) return
      this.#underway.delete(seq)
    }
  }
}
