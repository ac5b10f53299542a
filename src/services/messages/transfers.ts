/**
 * Files that arrive in steps (today.md 2.6): the part that is here lies in `.partial`, and its length is where the sender
 * continues, also after a kill of either side. Each sender has its own: what one sends cannot damage what another does.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readdir, rm, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { equalBytes, toHex } from '../../base/bytes.ts'
import type { FileInit } from '../../proto/messages/receiver.ts'
import { makeFolder } from '../../runtime/files/folder.ts'

/** One that a connection is receiving. */
export interface Claim {
  readonly key: string
  readonly init: FileInit
  readonly path: string
  readonly file: FileHandle
  readonly onGone: () => void
  offset: number
  movedAt: number // performance.now()
}

export class Transfers {
  readonly #dir: string
  readonly #claims = new Map<string, Claim>()

  constructor(dir: string) {
    this.#dir = join(dir, '.partial')
  }

  /** Bytes of a file that are here already. */
  async have(owner: string, init: FileInit): Promise<number> {
    const found = await stat(this.#pathOf(keyOf(owner, init)))
      .then(({ size }) => size)
      .catch(() => 0)
    return Math.min(found, init.size)
  }

  /** @param onGone once it is released. @returns undefined while another connection is receiving it. */
  async claim(owner: string, init: FileInit, onGone: () => void): Promise<Claim | undefined> {
    const key = keyOf(owner, init)
    const other = this.#claims.get(key)
    if (other !== undefined) {
      if (performance.now() - other.movedAt < TAKE_OVER_MS) return undefined
      await this.release(other)
    }
    if (this.#claims.size >= MAX_TRANSFERS) return undefined
    await makeFolder(this.#dir)
    const path = this.#pathOf(key)
    const file = await open(path, 'a+', 0o600)
    const { size } = await file.stat()
    if (size > init.size) await file.truncate(init.size)
    const claim = { key, init, path, file, onGone, offset: Math.min(size, init.size), movedAt: performance.now() }
    this.#claims.set(key, claim)
    return claim
  }

  /** @returns false if another connection has taken it over. */
  async put(claim: Claim, bytes: Uint8Array): Promise<boolean> {
    if (this.#claims.get(claim.key) !== claim) return false
    await claim.file.appendFile(bytes)
    claim.offset += bytes.length
    claim.movedAt = performance.now()
    return true
  }

  /** Whether the whole file is here, on disk, with the digest that was announced; if not, it is removed. */
  async verify(claim: Claim): Promise<boolean> {
    if (this.#claims.get(claim.key) !== claim) return false
    await claim.file.datasync()
    const hash = createHash('sha256')
    for await (const part of createReadStream(claim.path, { highWaterMark: READ_BYTES })) {
      hash.update(part as Buffer)
      claim.movedAt = performance.now()
    }
    if (equalBytes(hash.digest(), claim.init.sha256)) return true
    await rm(claim.path, { force: true })
    return false
  }

  async release(claim: Claim): Promise<void> {
    if (this.#claims.get(claim.key) === claim) this.#claims.delete(claim.key)
    claim.onGone()
    await claim.file.close().catch(() => {}) // closed before
  }

  /** Removes parts whose sender has not come back. */
  async tidy(now: number): Promise<void> {
    for (const name of await readdir(this.#dir).catch(() => [])) {
      const path = join(this.#dir, name)
      const found = await stat(path).catch(() => undefined)
      if (found !== undefined && now - found.mtimeMs > PART_KEPT_MS) await rm(path, { force: true })
    }
  }

  /** Bytes of all parts. */
  async size(): Promise<number> {
    let sum = 0
    for (const name of await readdir(this.#dir).catch(() => []))
      sum += (await stat(join(this.#dir, name)).catch(() => ({ size: 0 }))).size
    return sum
  }

  #pathOf(key: string): string {
    return join(this.#dir, key)
  }
}

/** A name of ours: nothing in it is the peer's. */
function keyOf(owner: string, { transfer, name }: FileInit): string {
  const whose = createHash('sha256').update(`${owner}\0${name}`).digest('hex').slice(0, 16)
  return `${toHex(transfer)}-${whose}`
}

/** A connection that has stood still for this long is dead: its sender has opened another. */
const TAKE_OVER_MS = 3_000
const MAX_TRANSFERS = 64
/** A sender of ours gives up after a week. */
const PART_KEPT_MS = 8 * 86_400_000
const READ_BYTES = 1_048_576
