/**
 * Where messages and files of peers are kept: DIR/inbox and DIR/received, named as the reference names them
 * (services.md §6). Nothing of a peer's name but its last element is used, nothing is overwritten, and what all peers
 * together can fill has a limit.
 */
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { extname, join } from 'node:path'

export class Inbox {
  readonly #dir: string
  #usedBytes = -1 // -1: not counted yet

  constructor(dir: string) {
    this.#dir = dir
  }

  /** A text, JSON or binary message. @returns the path. @throws Error: full, or what the file system says. */
  async saveMessage(type: 'TEXT' | 'BINARY' | 'JSON', from: string, content: Uint8Array, now: Date): Promise<string> {
    const binary = type === 'BINARY'
    const record = {
      type,
      from,
      data: Buffer.from(content).toString(binary ? 'base64' : 'utf8'),
      ...(binary && { encoding: 'base64' }), // the reference damages what is not UTF-8
      bytes: content.length,
      received_at: `${now.toISOString().slice(0, 19)}Z`,
    }
    return await this.#write('inbox', type, '.json', Buffer.from(`${JSON.stringify(record, undefined, 2)}\n`), now)
  }

  /** @param name as the peer gave it. */
  async saveFile(name: string, content: Uint8Array, now: Date): Promise<string> {
    const base =
      name
        .split(/[/\\]/)
        .at(-1)!
        .replaceAll(/[^\p{L}\p{N}._ -]/gu, '_')
        .replace(/^\.+/, '')
        .slice(-MAX_NAME) || 'file'
    const extension = extname(base)
    return await this.#write('received', base.slice(0, base.length - extension.length), extension, content, now)
  }

  async #write(folder: string, base: string, extension: string, content: Uint8Array, now: Date): Promise<string> {
    const dir = join(this.#dir, folder)
    await mkdir(dir, { recursive: true, mode: 0o700 })
    if (this.#usedBytes < 0)
      this.#usedBytes = (await sizeOf(join(this.#dir, 'inbox'))) + (await sizeOf(join(this.#dir, 'received')))
    if (this.#usedBytes + content.length > INBOX_LIMIT_BYTES) throw new Error('the inbox is full')
    this.#usedBytes += content.length
    const iso = now.toISOString()
    const stamp = `${iso.slice(0, 10).replaceAll('-', '')}-${iso.slice(11, 23).replaceAll(':', '')}`
    for (let copy = 0; copy < MAX_COPIES; copy++) {
      const path = join(dir, `${base}-${stamp}${copy === 0 ? '' : `-${copy}`}${extension}`)
      if (await writeNew(path, content)) return path
    }
    throw new Error('too many of that name')
  }
}

/** @returns false when something has that name already. */
async function writeNew(path: string, content: Uint8Array): Promise<boolean> {
  try {
    await writeFile(path, content, { flag: 'wx', mode: 0o600 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    await rm(path, { force: true })
    throw error
  }
}

async function sizeOf(dir: string): Promise<number> {
  let bytes = 0
  for (const name of await readdir(dir).catch(() => []))
    bytes += (await stat(join(dir, name)).catch(() => ({ size: 0 }))).size
  return bytes
}

/** What peers can fill on our disk. Beyond it messages are answered with an error until somebody tidies up and restarts. */
const INBOX_LIMIT_BYTES = 268_435_456
/** Messages of one type, or files of one name, within one millisecond. */
const MAX_COPIES = 1_000
/** Of a file's name, characters: with the date it stays below the 255 bytes that file systems take. */
const MAX_NAME = 60
