/**
 * A message or a file in one frame while it arrives: its bytes go to a temporary file. A message then becomes a record of
 * JSON, as the reference writes it (today.md 2.6), piece by piece, since it may have 64 MiB.
 */
import { open, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { isUtf8 } from 'node:buffer'

export class Draft {
  readonly path: string
  readonly #file: FileHandle
  readonly #onGone: () => void
  #bytes = 0

  private constructor(path: string, file: FileHandle, onGone: () => void) {
    this.path = path
    this.#file = file
    this.#onGone = onGone
  }

  /** @param onGone once it is finished or discarded. */
  static async create(path: string, onGone: () => void): Promise<Draft> {
    return new Draft(path, await open(path, 'wx+', 0o600), onGone)
  }

  async append(bytes: Uint8Array): Promise<void> {
    await this.#file.writev([bytes], this.#bytes)
    this.#bytes += bytes.length
  }

  /** On disk. */
  async finish(): Promise<void> {
    await this.#file.datasync()
    await this.#file.close()
    this.#onGone()
  }

  /**
   * On disk, as a record at another path; the draft is gone.
   * @param about its members, before the content. @returns its size.
   */
  async finishAsRecord(path: string, about: object): Promise<number> {
    const record = await open(path, 'wx', 0o600)
    try {
      const isText = await this.#isText()
      const members = isText ? about : { ...about, data_encoding: 'base64' }
      await record.write(
        `${JSON.stringify(members, undefined, 2).slice(0, -2)},\n  "${isText ? 'data' : 'data_b64'}": "`,
      )
      for await (const piece of this.#pieces(isText)) await record.write(piece)
      await record.write('"\n}\n')
      await record.datasync()
      return (await record.stat()).size
    } finally {
      await record.close()
      await this.discard()
    }
  }

  async discard(): Promise<void> {
    this.#onGone()
    await this.#file.close().catch(() => {}) // closed before
    await rm(this.path, { force: true })
  }

  /** UTF-8 that JSON does not blow up: a control character takes six bytes. */
  async #isText(): Promise<boolean> {
    let rest = Buffer.alloc(0)
    for await (const piece of this.#parts(PIECE_BYTES)) {
      const joined = Buffer.concat([rest, piece])
      const end = lastBoundary(joined)
      const whole = joined.subarray(0, end)
      if (!isUtf8(whole) || CONTROL.test(whole.toString('latin1'))) return false
      rest = Buffer.from(joined.subarray(end))
    }
    return rest.length === 0
  }

  async *#pieces(isText: boolean): AsyncGenerator<string> {
    if (!isText) {
      for await (const piece of this.#parts(PIECE_BYTES)) yield piece.toString('base64') // a multiple of 3 each
      return
    }
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
    for await (const piece of this.#parts(PIECE_BYTES)) yield escaped(decoder.decode(piece, { stream: true }))
    yield escaped(decoder.decode())
  }

  async *#parts(size: number): AsyncGenerator<Buffer> {
    for (let at = 0; at < this.#bytes; at += size) {
      const part = Buffer.alloc(Math.min(size, this.#bytes - at))
      await this.#file.read(part, 0, part.length, at)
      yield part
    }
  }
}

/** Where the last character that is whole ends. */
function lastBoundary(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(4, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!
    if (byte < 0x80) return bytes.length
    if (byte < 0xc0) continue // within one
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
    return back < length ? bytes.length - back : bytes.length
  }
  return bytes.length
}

function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x08\x0b\x0c\x0e-\x1f]/
/** A multiple of 3: its base64 can be joined. */
const PIECE_BYTES = 3 * 65_536
