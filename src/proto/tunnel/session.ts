/**
 * What one pair of X25519 keys gives: sealing with our nonces, opening with the peer's. Nonces never repeat under a key:
 * one random prefix and one counter for as long as the pair lasts, whatever the peer sends again.
 */
import type { Instant, NodeId } from '../../base/types.ts'
import type { AeadKey } from '../../crypto/aead.ts'
import { PrefixWindows } from '../../crypto/replay-window.ts'
import {
  SEALED_HEADER_BYTES,
  encodeSealedHeader,
  sealedCounterHigh,
  sealedCounterLow,
  sealedPrefix,
} from '../../wire/tunnel-frames.ts'
import { MAX_PREFIXES, PLAIN_REKEY_COUNTER_HIGH, REKEY_COUNTER_HIGH, REPLAY_SLOTS } from './constants.ts'

export type OpenFault = 'bad_tag' | 'replay' | 'too_many_prefixes'

/** A frame that was opened elsewhere (runtime/net/datagram-port.ts): the key, and the packet inside. */
export interface OpenedFrame {
  readonly key: AeadKey
  readonly packet: Uint8Array
}

export class Session {
  createdAt: Instant // or last announced
  /** The peer's X25519 key of this agreement, base64. */
  readonly peerKey: string
  /** A frame of the peer opened under this key: the peer has the other half now. */
  confirmed = false
  readonly key: AeadKey
  /** What only the two ends know (extensions.md §6); undefined: both directions share one key, which is not replaced by age. */
  readonly proof: Uint8Array | undefined
  /** The peer announced it as the next one after the session in use: it has not restarted. */
  continues = false
  /** From then on, the next frame that is sent starts its replacement. */
  renewAt: Instant = Infinity
  readonly #drawPrefix: () => number
  #prefix: number
  #counterHigh = 0
  #counterLow = 0
  #sealedAny = false
  readonly #windows = new PrefixWindows(REPLAY_SLOTS, MAX_PREFIXES)

  constructor(key: AeadKey, proof: Uint8Array | undefined, drawPrefix: () => number, peerKey: string, now: Instant) {
    this.key = key
    this.proof = proof
    this.#drawPrefix = drawPrefix
    this.#prefix = drawPrefix()
    this.peerKey = peerKey
    this.createdAt = now
  }

  get worn(): boolean {
    return this.#counterHigh >= (this.proof === undefined ? PLAIN_REKEY_COUNTER_HIGH : REKEY_COUNTER_HIGH)
  }

  /**
   * Writes the header of the next sealed frame at out[at..]: its nonce is never used again. The packet follows it,
   * sealed with `key`.
   */
  stamp(sender: NodeId, out: Uint8Array, at: number): void {
    this.#counterLow = (this.#counterLow + 1) >>> 0 // the first frame carries 1 (tunnel.md §3.1)
    if (this.#counterLow === 0) this.#counterHigh += 1
    this.#sealedAny = true
    encodeSealedHeader(out, at, sender, this.#prefix, this.#counterHigh, this.#counterLow)
  }

  /** Authenticates first; only then is the counter checked against the replay window (tunnel.md §3.3). */
  open(frame: Uint8Array, opened: OpenedFrame | undefined): Uint8Array | OpenFault {
    const packet =
      opened?.key === this.key
        ? opened.packet
        : this.key.open(
            frame.subarray(8, SEALED_HEADER_BYTES),
            frame.subarray(4, 8),
            frame.subarray(SEALED_HEADER_BYTES),
          )
    if (packet === undefined) return 'bad_tag'
    const prefix = sealedPrefix(frame)
    const fate = this.#windows.accept(prefix, sealedCounterHigh(frame), sealedCounterLow(frame))
    if (fate !== 'accept') return fate
    // If both directions share the key and the peer has drawn our prefix, we draw another one while that is still possible.
    while (this.proof === undefined && prefix === this.#prefix && !this.#sealedAny) this.#prefix = this.#drawPrefix()
    return packet
  }
}
