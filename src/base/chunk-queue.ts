/**
 * Byte arrays in order, kept as received. Tiny ones are merged, so that a flood of one-byte pieces costs the memory of
 * its bytes, not of an object each.
 */
import { Ring } from './ring.ts'

export class ChunkQueue {
  readonly #chunks = new Ring<Uint8Array>()
  #gather: Uint8Array | undefined // backing store of the last chunk while it may still grow
  #gathered = 0

  get size(): number {
    return this.#chunks.size
  }

  at(index: number): Uint8Array | undefined {
    return this.#chunks.at(index)
  }

  /** Takes ownership of `chunk`. An earlier chunk may grow at its end, never change. */
  push(chunk: Uint8Array): void {
    if (chunk.length > SMALL_CHUNK_BYTES || this.#chunks.size === 0) {
      this.#gather = undefined
      this.#chunks.push(chunk)
      return
    }
    if (this.#gather !== undefined && this.#gathered + chunk.length <= this.#gather.length) {
      this.#gather.set(chunk, this.#gathered)
      this.#gathered += chunk.length
      this.#chunks.replaceLast(this.#gather.subarray(0, this.#gathered))
      return
    }
    this.#gather = new Uint8Array(GATHER_BYTES)
    this.#gather.set(chunk, 0)
    this.#gathered = chunk.length
    this.#chunks.push(this.#gather.subarray(0, this.#gathered))
  }

  shift(): Uint8Array | undefined {
    if (this.#chunks.size === 1) this.#gather = undefined // handed out: it must not grow any further
    return this.#chunks.shift()
  }

  /** Like `shift`, but merges chunks below `small` bytes, up to a total of `most`. */
  shiftTogether(small: number, most: number): Uint8Array | undefined {
    let bytes = 0
    let count = 0
    for (
      let next = this.#chunks.at(0);
      next !== undefined && next.length < small && bytes + next.length <= most;
      next = this.#chunks.at(count)
    ) {
      bytes += next.length
      count += 1
    }
    if (count < 2) return this.shift()
    const together = new Uint8Array(bytes)
    for (let at = 0; count > 0; count--) {
      const chunk = this.shift()!
      together.set(chunk, at)
      at += chunk.length
    }
    return together
  }

  clear(): void {
    this.#chunks.clear()
    this.#gather = undefined
  }
}

const SMALL_CHUNK_BYTES = 512
const GATHER_BYTES = 8_192
