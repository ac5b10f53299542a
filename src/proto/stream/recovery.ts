/**
 * Proportional rate reduction (RFC 6937): how much may be sent while losses are repaired, so that the flight falls to
 * the slow start threshold evenly, over one round trip, instead of with a silence and a burst.
 */
export class Recovery {
  /** May be sent now, bytes. */
  sendBytes = 0
  #flight = 1 // RecoverFS
  #ssthresh = 0
  #delivered = 0
  #out = 0

  /** @param flight bytes in flight before the loss was found. */
  start(flight: number, ssthresh: number, segment: number): void {
    this.#flight = Math.max(flight, 1)
    this.#ssthresh = ssthresh
    this.#delivered = this.#out = 0
    this.sendBytes = segment // §3.1: fast retransmit
  }

  /**
   * An acknowledgement has delivered `bytes` (cumulative and SACK); `flight` bytes are outstanding.
   * @param safe it moved the cumulative point and reported no further loss: then one more segment (SSRB, otherwise
   *   CRB).
   */
  onDelivered(bytes: number, flight: number, segment: number, safe: boolean): void {
    this.#delivered += bytes
    const room =
      flight > this.#ssthresh
        ? Math.ceil((this.#delivered * this.#ssthresh) / this.#flight) - this.#out
        : Math.min(this.#ssthresh - flight, Math.max(this.#delivered - this.#out, bytes) + (safe ? segment : 0))
    this.sendBytes = this.#out === 0 ? Math.max(room, segment) : room
  }

  onSent(bytes: number): void {
    this.#out += bytes
    this.sendBytes -= bytes
  }
}
