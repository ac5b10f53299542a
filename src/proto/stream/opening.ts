/**
 * How a stream opens: our SYN or SYN-ACK with its options, its repetitions, and what the peer agreed to. Above:
 * stream.ts.
 */
import { seqAdd } from '../../base/sequence.ts'
import type { Instant } from '../../base/types.ts'
import type { PacketHeader } from '../../wire/packet.ts'
import { FLAG_ACK, FLAG_SYN } from '../../wire/packet.ts'
import { decodeSynOptions, encodeSynOptions } from '../../wire/syn-options.ts'
import * as k from './constants.ts'

export class Opening {
  readonly isn: number
  readonly dialled: boolean
  transmissions = 0
  /** Of the first one. */
  sentAt: Instant = Infinity
  /** The largest payload that the peer accepts, bytes. */
  maxSegment = k.PLAIN_MAX_SEGMENT_BYTES
  /** Unit of the peer's window field: bytes, or 1 if it counts slots. */
  windowUnit = 1
  /** Packets other than SYNs carry no checksum. */
  unchecked = false
  readonly #ownMaxSegment: number
  #hasOptions = false // the peer's SYN carried some

  constructor(isn: number, dialled: boolean, ownMaxSegment: number) {
    this.isn = isn
    this.dialled = dialled
    this.#ownMaxSegment = ownMaxSegment
  }

  /**
   * @param payload of the peer's SYN or SYN-ACK. @returns true if the peer is a pilotgate: each direction ends on its
   *   own.
   */
  agree(payload: Uint8Array): boolean {
    const options = decodeSynOptions(payload)
    if (typeof options !== 'object') return false
    this.#hasOptions = true
    this.maxSegment = Math.max(options.maxSegment ?? k.PLAIN_MAX_SEGMENT_BYTES, k.MIN_SEGMENT_BYTES)
    this.unchecked = options.unchecked === true
    if (options.halfClose !== true || options.windowShift === undefined) return false
    this.windowUnit = 2 ** options.windowShift
    return true
  }

  /** Our SYN or SYN-ACK, except for the window. */
  fill(header: PacketHeader, packet: Uint8Array, at: number, peerIsn: number): void {
    header.flags = this.dialled ? FLAG_SYN : FLAG_SYN | FLAG_ACK
    header.seq = this.isn
    header.ack = this.dialled ? 0 : seqAdd(peerIsn, 1)
    if (!this.dialled && !this.#hasOptions) return
    const options = encodeSynOptions({
      halfClose: true,
      windowShift: k.WINDOW_SHIFT,
      maxSegment: this.#ownMaxSegment,
      unchecked: true,
    })
    packet.set(options, at)
    header.payloadLength = options.length
  }

  /** It was sent, and another one may follow. */
  get mayRepeat(): boolean {
    return this.transmissions > 0 && this.transmissions < k.SYN_TRANSMISSIONS
  }

  /** It was sent. @returns when to repeat it. */
  onSent(now: Instant): Instant {
    const again = now + Math.min(k.SYN_RTO_MS * 2 ** this.transmissions, k.SYN_RTO_MAX_MS)
    if (this.transmissions === 0) this.sentAt = now
    this.transmissions += 1
    return again
  }
}
