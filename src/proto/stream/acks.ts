/** When an acknowledgement is due: immediately, after a short wait for data to carry it, or with the next packet. */
import type { Instant } from '../../base/types.ts'
import { ACK_EVERY_SEGMENTS, DELAYED_ACK_MS } from './constants.ts'

export class AckPolicy {
  due = false
  /** When a waiting ACK is sent on its own. */
  at: Instant = Infinity
  /**
   * Pure ACKs due in addition to one with SACK blocks: only they trigger fast retransmission in a Go sender (stream.md
   * Q14).
   */
  duplicates = 0
  #segments = 0
  #isDialogue = true // data gets an answer, which can carry a waiting ACK

  /** The SYN-ACK has arrived. Usually the first bytes are there or follow immediately, and replace the third packet. */
  onOpened(now: Instant, urgent: boolean): void {
    if (urgent) this.due = true
    else this.at = now + DELAYED_ACK_MS
  }

  /**
   * @param bytes 0: a FIN alone. It does not count as a second segment: our own end usually follows and acknowledges
   *   it.
   * @param urgent a gap closed, or we send nothing more: the sender is waiting for it.
   * @param fullBytes the sender may hold its next segment back until this one is acknowledged if it is shorter (Nagle's
   *   algorithm, RFC 9293 §3.7.4): unless an answer is expected, waiting for one would delay every segment. 0: it does not.
   */
  onInOrder(now: Instant, bytes: number, urgent: boolean, fullBytes: number): void {
    if (bytes > 0) this.#segments += 1
    const isHeldBack = bytes < fullBytes && !this.#isDialogue
    if (urgent || this.#segments >= ACK_EVERY_SEGMENTS || isHeldBack) this.due = true
    else if (this.at === Infinity) this.at = now + DELAYED_ACK_MS
  }

  /** Our data is sent. */
  onAnswer(): void {
    if (this.at !== Infinity) this.#isDialogue = true
  }

  /** Data came early, again, or beyond the window: the sender should know our position. */
  onOutOfOrder(owesDuplicate: boolean): void {
    this.due = true
    if (owesDuplicate && this.duplicates < MAX_DUPLICATES) this.duplicates += 1
  }

  /** Withhold it to slow the sender down. */
  stall(until: Instant): void {
    this.due = false
    this.at = until
  }

  handleTimeout(now: Instant): void {
    if (now < this.at) return
    this.#isDialogue = false
    this.at = Infinity
    this.due = true
  }

  /** A packet with the current acknowledgement number is sent. */
  onGiven(): void {
    this.due = false
    this.at = Infinity
    this.#segments = 0
  }
}

const MAX_DUPLICATES = 3 // as many as trigger fast retransmission; more would only shrink the window (Q15)
