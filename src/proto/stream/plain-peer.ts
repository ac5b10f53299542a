/**
 * How a stream behaves towards a peer that does not answer our SYN options: the rules of the reference (the Q numbers
 * of docs/quirks.md), in one place. A stream between two pilotgates needs none of it. plain-close.ts ends such a
 * stream.
 */
import type { Instant } from '../../base/types.ts'
import type { PacketHeader } from '../../wire/packet.ts'
import { FLAG_ACK } from '../../wire/packet.ts'
import { PLAIN_KEEPALIVE_MS, PLAIN_SLOT_BYTES, PLAIN_STALL_ACK_MS, TODAY_SLOT_BYTES } from './constants.ts'
import type { PlainRules } from './lifecycle.ts'
import { PlainClose } from './plain-close.ts'
import type { Receiver } from './receive.ts'

export class PlainPeer {
  readonly close = new PlainClose()
  readonly #rules: PlainRules

  constructor(rules: PlainRules) {
    this.#rules = rules
  }

  /** Q10: a repeated SYN-ACK of a Go peer carries its next number; its ISN is always 0. */
  isnOf(synAck: PacketHeader, synTransmissions: number): number {
    return synTransmissions > 1 && synAck.seq < 65_536 ? 0 : synAck.seq
  }

  /** Our FIN is outside the sequence: its acknowledgement is the number after everything sent. */
  isFinAnswer(ack: number, nxt: number): boolean {
    return this.close.state === 'sent' && ack === nxt + 1
  }

  /** Q6: window 0 without payload and progress is a Go keepalive or probe, not a closed window. */
  isWindow(window: number, payloadLength: number, hasProgress: boolean): boolean {
    return window !== 0 || payloadLength > 0 || hasProgress
  }

  /**
   * stream.md §7.2: the only way to slow a Go sender. @returns until when to withhold the acknowledgement of this
   * segment, if at all.
   */
  stallUntil(now: Instant, receiver: Receiver, hadGap: boolean): Instant | undefined {
    if (this.#rules.isToday) return undefined // a window of 0 stops it
    return !hadGap && receiver.freeBytes < 2 * PLAIN_SLOT_BYTES ? now + PLAIN_STALL_ACK_MS : undefined
  }

  /**
   * The peer's FIN may answer ours. @returns whether this one is an answer (Q1: a bare FIN is answered, a FIN|ACK
   * never).
   */
  takeFin(header: PacketHeader): boolean {
    const isAnswer = (header.flags & FLAG_ACK) !== 0
    if (this.close.state === 'sent' && isAnswer) this.close.state = 'answered'
    return isAnswer
  }

  /** A full segment: the sender holds back only shorter ones (Nagle). No daemon of today sends more than its slots. */
  fullBytes(segmentBytes: number): number {
    if (segmentBytes > TODAY_SLOT_BYTES) this.#rules.isToday = false
    return this.#rules.isToday ? TODAY_SLOT_BYTES : PLAIN_SLOT_BYTES
  }

  /** It asks whether the window that we closed has opened: our announcement may have been lost. */
  asksForWindow(receiver: Receiver): boolean {
    return this.#rules.isToday && receiver.wasClosed
  }

  /** When our silence would make the peer give up the stream. */
  keepaliveAt(lastSentAt: Instant): Instant {
    return lastSentAt + PLAIN_KEEPALIVE_MS
  }

  nextTimeout(lastSentAt: Instant): Instant {
    return Math.min(this.close.heldUntil, this.keepaliveAt(lastSentAt))
  }
}
