/**
 * Written bytes of one stream until they are acknowledged: a list of the writer's own arrays, merged only if tiny.
 * Offsets count bytes since the start of the stream and do not wrap.
 */
import { ChunkQueue } from '../../base/chunk-queue.ts'
import { SEND_BUDGET_BYTES } from './constants.ts'
import type { Budget } from './lifecycle.ts'

export class SendBuffer {
  readonly #budget: Budget
  readonly #chunks = new ChunkQueue()
  #start = 0 // offset of the first byte held
  #end = 0
  #cursorIndex = 0 // where the last copy ended: the next one almost always continues there
  #cursorOffset = 0 // offset of the first byte of that chunk

  constructor(budget: Budget) {
    this.#budget = budget
  }

  /** All streams together hold so much that each should hold only the minimum. */
  get budgetSpent(): boolean {
    return this.#budget.usedBytes >= SEND_BUDGET_BYTES
  }

  /** Offset after the last byte written. */
  get end(): number {
    return this.#end
  }
  get bytes(): number {
    return this.#end - this.#start
  }

  /** Takes ownership: the writer must not change the array until it is acknowledged. */
  append(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    this.#chunks.push(chunk)
    this.#end += chunk.length
    this.#budget.usedBytes += chunk.length
  }

  /** Forgets whole chunks below `offset`. */
  release(offset: number): void {
    for (
      let first = this.#chunks.at(0);
      first !== undefined && this.#start + first.length <= offset;
      first = this.#chunks.at(0)
    ) {
      this.#chunks.shift()
      this.#start += first.length
      this.#budget.usedBytes -= first.length
      if (this.#cursorIndex > 0) this.#cursorIndex -= 1
      else this.#cursorOffset = this.#start
    }
  }

  /** Copies [offset, offset + length) to out[at..]. The range must be held. */
  copy(offset: number, length: number, out: Uint8Array, at: number): void {
    this.#seek(offset)
    let index = this.#cursorIndex
    let chunkStart = this.#cursorOffset
    let done = 0
    while (done < length) {
      const chunk = this.#chunks.at(index)
      if (chunk === undefined)
        throw new RangeError(`bytes ${offset}+${length} are not held (${this.#start}..${this.#end})`)
      const from = offset + done - chunkStart
      const count = Math.min(chunk.length - from, length - done)
      out.set(from === 0 && count === chunk.length ? chunk : chunk.subarray(from, from + count), at + done)
      done += count
      if (done === length) break // the cursor stays on an existing chunk: the last one may still grow
      index += 1
      chunkStart += chunk.length
    }
    this.#cursorIndex = index
    this.#cursorOffset = chunkStart
  }

  clear(): void {
    this.#chunks.clear()
    this.#budget.usedBytes -= this.bytes
    this.#start = this.#end
    this.#cursorIndex = 0
    this.#cursorOffset = this.#end
  }

  #seek(offset: number): void {
    if (offset < this.#cursorOffset) {
      // a retransmission: from the front
      this.#cursorIndex = 0
      this.#cursorOffset = this.#start
    }
    while (this.#cursorIndex + 1 < this.#chunks.size) {
      const end = this.#cursorOffset + this.#chunks.at(this.#cursorIndex)!.length
      if (end > offset) return
      this.#cursorOffset = end
      this.#cursorIndex += 1
    }
  }
}
