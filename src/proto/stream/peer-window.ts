/**
 * What the peer's receive window admits: bytes, or, where it gave no WINDOW_BYTES, segments (slots of the reference).
 * Above: send.ts.
 */
import * as k from './constants.ts'

export class PeerWindow {
  slotted = false // the peer counts in segments
  /** The largest so far, bytes. */
  maxBytes = 0
  #edge = 0 // bytes: first offset that is not admitted
  #slots = 0
  #slotsAck = -1 // the acknowledgement that admitted them

  /** The field of a packet that acknowledged `ack`. @returns true when more bytes are admitted than before. */
  onWindow(ack: number, window: number): boolean {
    if (this.slotted) {
      if (ack < this.#slotsAck) return false // overtaken: what it admitted is in flight or taken by now
      // With the same number only reading can have changed it, and that only upwards.
      this.#slots = ack === this.#slotsAck ? Math.max(this.#slots, window) : window
      this.#slotsAck = ack
      return false
    }
    if (window > this.maxBytes) this.maxBytes = window
    if (ack + window <= this.#edge) return false // a right edge never moves back: what seems so is an old packet
    this.#edge = ack + window
    return true
  }

  /** How much of a segment of `length` bytes may go out at `nxt`, with so many segments in flight. */
  admits(nxt: number, length: number, segmentsInFlight: number): number {
    if (this.slotted) return segmentsInFlight < this.#slots && segmentsInFlight < k.PLAIN_FLIGHT_SEGMENTS ? length : 0
    const room = this.#edge - nxt
    if (room >= length) return length
    // RFC 9293 §3.8.6.2.1: rather wait than send crumbs, unless nothing is on its way that could open the window
    return room <= 0 || (segmentsInFlight > 0 && room < this.maxBytes / 2) ? 0 : room
  }
}
