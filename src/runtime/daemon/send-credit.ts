/**
 * How far one accepted stream may run ahead of its peer. A daemon's Send blocks while the peer's window is closed, and
 * with it every stream of that connection (ipc.md §1). So no Send is started that would block: windows count slots of
 * 4,096 bytes, a segment of any size fills one (stream.md Q7), and Info reports what has been acknowledged.
 */
export class SendCredit {
  readonly #sends: Array<{ readonly end: number; readonly slots: number }> = [] // not known to be acknowledged
  #usedSlots = 0
  #windowSlots = FIRST_SLOTS
  #sentBytes = 0
  #probedAt = -Infinity

  get sentBytes(): number {
    return this.#sentBytes
  }

  /** @returns how many bytes may go now, at most `wanted`. */
  allowance(wanted: number): number {
    return Math.min(wanted, PIECE_BYTES, Math.max(0, this.#windowSlots - this.#usedSlots) * SLOT_BYTES)
  }

  onSent(bytes: number): void {
    const slots = Math.ceil(bytes / SLOT_BYTES)
    this.#sentBytes += bytes
    this.#usedSlots += slots
    this.#sends.push({ end: this.#sentBytes, slots })
  }

  /**
   * @param acknowledgedBytes Of this stream, so far.
   * @param windowBytes What the peer accepts beyond them.
   */
  onReport(acknowledgedBytes: number, windowBytes: number, now: number): void {
    while (this.#sends.length > 0 && this.#sends[0]!.end <= acknowledgedBytes)
      this.#usedSlots -= this.#sends.shift()!.slots
    this.#windowSlots = Math.floor(windowBytes / SLOT_BYTES)
    if (this.#windowSlots > 0 || this.#sends.length > 0 || now - this.#probedAt < PROBE_MS) return
    // A window is only reported open in answer to a packet (stream.md Q6), so one segment is sent now and then to ask.
    this.#probedAt = now
    this.#windowSlots = 1
  }
}

/** One Send: the others of the connection wait for it (ipc.md §4). */
export const PIECE_BYTES = 16_384

const SLOT_BYTES = 4_096
/** Before the first report. Every known receiver begins with 64 slots or more. */
const FIRST_SLOTS = 32
const PROBE_MS = 1_000
