/**
 * What the peer's receive window admits: bytes, or segments (slots of the reference) without WINDOW_BYTES. Above:
 * send.ts.
 */
import * as k from './constants.ts'
import type { PlainRules } from './lifecycle.ts'

export class PeerWindow {
  slotted = false // the peer counts in segments
  readonly #rules: PlainRules
  /** The acknowledgement from which on more segments may be in flight than the peer keeps out of order. */
  #calmAt = 0
  /** The largest so far, bytes. */
  maxBytes = 0
  #edge = 0 // bytes: first offset that is not admitted
  #slots = 0
  #slotsAck = -1 // the acknowledgement that admitted them

  constructor(rules: PlainRules) {
    this.#rules = rules
  }

  /** Something was lost before `nxt`. */
  onLoss(nxt: number): void {
    this.#calmAt = nxt + k.TODAY_CALM_BYTES
  }

  /** The field of a packet that acknowledged `ack`. @returns true if it admits more bytes than before. */
  onWindow(ack: number, window: number): boolean {
    if (this.slotted) {
      if (ack < this.#slotsAck) return false // overtaken: what it admitted is in flight or delivered by now
      // With the same number, only reading can have changed it, and only upwards.
      this.#slots = ack === this.#slotsAck ? Math.max(this.#slots, window) : window
      this.#slotsAck = ack
      return false
    }
    if (window > this.maxBytes) this.maxBytes = window
    if (ack + window <= this.#edge) return false // a right edge never moves back; if it seems to, the packet is old
    this.#edge = ack + window
    return true
  }

  /** Bytes beyond those acknowledged that the peer has room for, as far as it has said. A slot holds at least as much as daemons of today count. */
  roomBytes(acknowledged: number): number {
    return this.slotted ? this.#slots * k.TODAY_SLOT_BYTES : Math.max(0, this.#edge - acknowledged)
  }

  /** How much of a segment of `length` bytes may go out at `nxt`, with the given number of segments in flight. */
  admits(nxt: number, length: number, segmentsInFlight: number): number {
    if (this.slotted) {
      const isCalm = this.#rules.isToday && this.#slotsAck >= this.#calmAt
      const most = isCalm ? k.TODAY_FLIGHT_SEGMENTS : k.PLAIN_FLIGHT_SEGMENTS
      return segmentsInFlight < this.#slots && segmentsInFlight < most ? length : 0
    }
    const room = this.#edge - nxt
    if (room >= length) return length
    // RFC 9293 §3.8.6.2.1: wait rather than send tiny segments, unless nothing in flight could open the window
    return room <= 0 || (segmentsInFlight > 0 && room < this.maxBytes / 2) ? 0 : room
  }
}
