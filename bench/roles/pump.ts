/** Writes as fast as the other side reads: the same 64 KB repeatedly, without allocation. */
import type { Writable } from 'node:stream'
import { MESSAGE_BYTES } from './protocol.ts'

export function pump(to: Writable, bytes: number, done: () => void): void {
  let left = bytes
  const go = (): void => {
    while (left > 0) {
      const piece = left < MESSAGE_BYTES ? BLOCK.subarray(0, left) : BLOCK
      left -= piece.length
      if (!to.write(piece) && left > 0) return void to.once('drain', go)
    }
    done()
  }
  go()
}

export const BLOCK = Buffer.alloc(MESSAGE_BYTES, 'pilotgate')
