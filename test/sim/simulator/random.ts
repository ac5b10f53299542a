/** Seeded randomness: the same seed gives the same run. xorshift128+ on two 32-bit halves is plenty for a simulator. */
export class Random {
  #state: Uint32Array

  constructor(seed: number) {
    this.#state = new Uint32Array(4)
    let x = (seed ^ 0x9e37_79b9) >>> 0
    for (let i = 0; i < 4; i++) {
      // splitmix32
      x = (x + 0x9e37_79b9) >>> 0
      let z = x
      z = Math.imul(z ^ (z >>> 16), 0x85eb_ca6b)
      z = Math.imul(z ^ (z >>> 13), 0xc2b2_ae35)
      this.#state[i] = (z ^ (z >>> 16)) >>> 0
    }
  }

  /** 0 .. 2^32-1 */
  u32(): number {
    const s = this.#state
    let t = s[3]!
    const a = s[0]!
    s[3] = s[2]!
    s[2] = s[1]!
    s[1] = a
    t ^= t << 11
    t ^= t >>> 8
    s[0] = (t ^ a ^ (a >>> 19)) >>> 0
    return s[0]
  }

  /** 0 <= x < 1 */
  next(): number {
    return this.u32() / 2 ** 32
  }

  /** Integer, 0 <= x < limit. */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  readonly bytes = (count: number): Uint8Array => {
    const out = new Uint8Array(count)
    for (let i = 0; i < count; i++) out[i] = this.u32()
    return out
  }
}
