/**
 * The folder of the outbox: for each message a folder with its content and what is known about it. That second file is
 * written last, and both are flushed: a message that has one is complete, also after a crash.
 */
import { createHash } from 'node:crypto'
import { createReadStream, constants } from 'node:fs'
import { copyFile, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fromHex, toHex } from '../../base/bytes.ts'
import { writeFileAtomically } from '../../runtime/files/atomic.ts'
import { makeFolder } from '../../runtime/files/folder.ts'
import type { MessageType } from './records.ts'

export interface StoredParcel {
  readonly id: string
  readonly peer: string
  readonly type: MessageType
  readonly name: string // of a file
  readonly bytes: number
  readonly sha256: Uint8Array
  readonly replyTo: string | undefined
  readonly createdAt: number // ms since 1970
  readonly expiresAt: number
}

export class Parcels {
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
  }

  /** What an earlier run left; what it had not finished writing is removed. Oldest first. */
  async load(): Promise<StoredParcel[]> {
    const parcels: StoredParcel[] = []
    for (const id of await readdir(this.#dir).catch(() => [])) {
      const parcel = await readFile(this.#about(id), 'utf8').then(
        (text) => parse(id, text),
        () => undefined,
      )
      if (parcel === undefined) await this.remove(id)
      else parcels.push(parcel)
    }
    return parcels.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))
  }

  /** Copies the content. @returns its size. @throws Error of the file system. */
  async addContent(id: string, content: Uint8Array | { readonly path: string }): Promise<number> {
    await makeFolder(join(this.#dir, id))
    const target = this.contentOf(id)
    if ('path' in content) await copyFile(content.path, target, constants.COPYFILE_FICLONE)
    const file = await open(target, 'path' in content ? 'r+' : 'w', 0o600)
    try {
      if (!('path' in content)) await file.writeFile(content)
      await file.sync()
      return (await file.stat()).size
    } finally {
      await file.close()
    }
  }

  /** It is in the outbox from now on. */
  async add(parcel: StoredParcel): Promise<void> {
    await writeFileAtomically(this.#about(parcel.id), JSON.stringify({ ...parcel, sha256: toHex(parcel.sha256) }))
  }

  async digest(id: string): Promise<Uint8Array> {
    const hash = createHash('sha256')
    for await (const part of createReadStream(this.contentOf(id), { highWaterMark: READ_BYTES }))
      hash.update(part as Buffer)
    return hash.digest()
  }

  contentOf(id: string): string {
    return join(this.#dir, id, 'content')
  }

  async remove(id: string): Promise<void> {
    await rm(this.#about(id), { force: true }) // first, so that half of it is not taken for a message
    await rm(join(this.#dir, id), { recursive: true, force: true })
  }

  #about(id: string): string {
    return join(this.#dir, id, 'about.json')
  }
}

/** @throws Error of the file system. @returns undefined if it is not a file. */
export async function sizeOf(path: string): Promise<number | undefined> {
  const found = await stat(path)
  return found.isFile() ? found.size : undefined
}

function parse(id: string, text: string): StoredParcel | undefined {
  try {
    const value = JSON.parse(text) as Omit<StoredParcel, 'sha256'> & { readonly sha256: string }
    const sha256 = fromHex(value.sha256)
    return value.id === id && sha256 !== undefined ? { ...value, replyTo: value.replyTo, sha256 } : undefined
  } catch {
    return undefined
  }
}

const READ_BYTES = 1_048_576
