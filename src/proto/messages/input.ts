/** Bytes that have been received and not yet used: chunks of many frames are joined only where a whole is needed. */

export class Input {
  #chunks: Uint8Array[] = []
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
  }

  /** The next `count` bytes; undefined: they are not all here. */
  take(count: number): Uint8Array | undefined {
    if (this.#bytes < count) return undefined
    const out = new Uint8Array(count)
    let at = 0
    while (at < count) {
      const part = this.some(count - at)!
      out.set(part, at)
      at += part.length
    }
    return out
  }

  /** Up to `most` bytes that lie together, a view; undefined: none is here. */
  some(most: number): Uint8Array | undefined {
    const first = this.#chunks[0]
    if (first === undefined) return undefined
    if (first.length <= most) {
      this.#chunks.shift()
      this.#bytes -= first.length
      return first
    }
    this.#chunks[0] = first.subarray(most)
    this.#bytes -= most
    return first.subarray(0, most)
  }
}
