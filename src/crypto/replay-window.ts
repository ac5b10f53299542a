/**
 * The counters seen so far (RFC 4303 §3.4.3, in the spirit of RFC 6479): a bit per counter, indexed by counter mod
 * slots. Counters are 64-bit, given as two unsigned 32-bit halves. Ask only AFTER the tag of a frame verified: a forged
 * counter must not move the window (the reference asks before; tunnel.md §3.3).
 */

/** One window. Decides like the reference, so its recorded decisions (replay.json) apply to ours. */
export class ReplayWindow {
  readonly #slots: number
  readonly #wrap: number // 2^32 mod slots
  readonly #seen: Int32Array
  #started = false
  #high = 0
  #low = 0

  /** @param slots Width, counters; a multiple of 32 up to 65536. @throws RangeError otherwise. */
  constructor(slots: number) {
    if (!(slots >= 32 && slots <= 65_536 && slots % 32 === 0))
      throw new RangeError(`window of ${slots} slots is not a multiple of 32 in 32..65536`)
    this.#slots = slots
    this.#wrap = TWO_32 % slots
    this.#seen = new Int32Array(slots / 32)
  }

  /** The highest counter accepted; 0 before the first. */
  get highestHigh(): number {
    return this.#high
  }
  get highestLow(): number {
    return this.#low
  }

  /**
   * True, and marked as seen, if the counter is new; false if it was seen or is too old to know. Until a counter above
   * 0 arrives, 0 is accepted repeatedly, as in the reference: see PrefixWindows.
   */
  accept(high: number, low: number): boolean {
    const ahead = (high - this.#high) * TWO_32 + (low - this.#low) // exact wherever it is compared with small values
    const slot = this.#slotOf(high, low)
    if (ahead > 0 || !this.#started) {
      this.#advance(ahead, slot)
      this.#started = true
      this.#high = high
      this.#low = low
    } else {
      if (-ahead >= this.#slots) return false
      if (this.#isMarked(slot)) return high === 0 && low === 0 && ahead === 0
    }
    this.#seen[slot >>> 5]! |= 1 << (slot & 31)
    return true
  }

  /** True if the counter lies in the window and has been accepted. Changes nothing. */
  has(high: number, low: number): boolean {
    const ahead = (high - this.#high) * TWO_32 + (low - this.#low)
    return this.#started && ahead <= 0 && -ahead < this.#slots && this.#isMarked(this.#slotOf(high, low))
  }

  /** Clears the marks of the skipped slots, which belong to counters one lap ago. */
  #advance(ahead: number, slot: number): void {
    if (ahead >= this.#slots) {
      this.#seen.fill(0)
      return
    }
    for (let step = 0, at = slot; step < ahead; step++) {
      this.#seen[at >>> 5]! &= ~(1 << (at & 31))
      at = at === 0 ? this.#slots - 1 : at - 1
    }
  }

  #slotOf(high: number, low: number): number {
    return ((high % this.#slots) * this.#wrap + low) % this.#slots
  }

  #isMarked(slot: number): boolean {
    return (this.#seen[slot >>> 5]! & (1 << (slot & 31))) !== 0
  }
}

/**
 * A window per nonce prefix under one key: at every key exchange that it accepts, the reference draws a new prefix and
 * counts from 1 again, under the same key. Windows are never dropped, since that would admit their frames again; when
 * there are too many, the tunnel needs a new key.
 */
export class PrefixWindows {
  readonly #slots: number
  readonly #maxPrefixes: number
  readonly #windows = new Map<number, ReplayWindow>()
  #lastPrefix = -1
  #last: ReplayWindow | undefined

  constructor(slots: number, maxPrefixes: number) {
    this.#slots = slots
    this.#maxPrefixes = maxPrefixes
  }

  /** Number of prefixes seen. */
  get size(): number {
    return this.#windows.size
  }

  /** Like ReplayWindow, but strict about counter 0: it too is accepted only once. */
  accept(prefix: number, high: number, low: number): 'accept' | 'replay' | 'too_many_prefixes' {
    const window = prefix === this.#lastPrefix ? this.#last : this.#find(prefix)
    if (window === undefined) return 'too_many_prefixes'
    if (low === 0 && high === 0 && window.has(0, 0)) return 'replay'
    return window.accept(high, low) ? 'accept' : 'replay'
  }

  #find(prefix: number): ReplayWindow | undefined {
    let window = this.#windows.get(prefix)
    if (window === undefined) {
      if (this.#windows.size >= this.#maxPrefixes) return undefined
      window = new ReplayWindow(this.#slots)
      this.#windows.set(prefix, window)
    }
    this.#lastPrefix = prefix
    this.#last = window
    return window
  }
}

const TWO_32 = 4_294_967_296
