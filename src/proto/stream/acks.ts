/** When an acknowledgement is owed: at once, after a short wait for company, or with whatever goes out next. */
import type { Instant } from '../../base/types.ts'
import { ACK_EVERY_SEGMENTS, DELAYED_ACK_MS } from './constants.ts'

export class AckPolicy {
  due = false
  /** When a waiting ACK goes out by itself. */
  at: Instant = Infinity
  /** Pure ACKs owed besides one with SACK blocks: only they make a Go sender retransmit fast (stream.md Q14). */
  duplicates = 0
  #segments = 0
  #isDialogue = true // what comes is answered: an ACK that waits finds company

  /**
   * @param urgent a gap closed, or the stream ended: the sender waits for it.
   * @param short less than a segment of a peer that may hold the rest back until this is acknowledged (Nagle's algorithm, RFC 9293
   *   §3.7.4): unless an answer is to be expected, to wait for one costs it a delay for each such piece.
   */
  onInOrder (now: Instant, urgent: boolean, short: boolean): void {
    this.#segments += 1
    if (urgent || this.#segments >= ACK_EVERY_SEGMENTS || (short && !this.#isDialogue)) this.due = true
    else if (this.at === Infinity) this.at = now + DELAYED_ACK_MS
  }

  /** Bytes of ours go out. */
  onAnswer (): void {
    if (this.at !== Infinity) this.#isDialogue = true
  }

  /** Something came early, again, or beyond the window: the sender should know where we are. */
  onOutOfOrder (owesDuplicate: boolean): void {
    this.due = true
    if (owesDuplicate && this.duplicates < MAX_DUPLICATES) this.duplicates += 1
  }

  /** Withhold it to slow the sender down. */
  stall (until: Instant): void {
    this.due = false
    this.at = until
  }

  handleTimeout (now: Instant): void {
    if (now < this.at) return
    this.#isDialogue = false
    this.at = Infinity
    this.due = true
  }

  /** A packet with the current acknowledgement number leaves. */
  onGiven (): void {
    this.due = false
    this.at = Infinity
    this.#segments = 0
  }
}

const MAX_DUPLICATES = 3 // as many as trigger fast retransmission; more would only shrink the window (Q15)
