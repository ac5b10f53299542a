/**
 * A folder with a limit on bytes and files. It counts what is really on the disk, no matter who put it there, in whole blocks;
 * `owner` says for whom.
 */
import { readdir, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder } from '../../runtime/files/folder.ts'
import { Reserve } from '../reserve.ts'

export interface Item {
  readonly id: string
  readonly bytes: number // on disk
  readonly at: number // ms since 1970
  readonly owner: string
}

export interface ShelfLimits {
  readonly bytes: number
  readonly files: number
}

interface Usage {
  bytes: number
  files: number
}

export class Shelf {
  readonly dir: string
  readonly limits: ShelfLimits
  readonly #items = new Map<string, Item>()
  /** For what is arriving. */
  readonly reserve: Reserve
  #scannedAt = -Infinity

  constructor(dir: string, limits: ShelfLimits) {
    this.dir = dir
    this.limits = limits
    this.reserve = new Reserve(limits.bytes)
  }

  get items(): Iterable<Item> {
    return this.#items.values()
  }

  has(id: string): boolean {
    return this.#items.has(id)
  }

  /** Compares the list with the folder. @param ownerOf whom a file belongs to. */
  async scan(ownerOf: (id: string) => string | undefined): Promise<void> {
    this.#scannedAt = performance.now()
    await makeFolder(this.dir)
    const names = new Set((await readdir(this.dir)).filter((name) => !name.startsWith('.')))
    for (const id of this.#items.keys()) if (!names.has(id)) this.#items.delete(id)
    for (const id of names) {
      if (this.#items.has(id)) continue
      const found = await stat(join(this.dir, id)).catch(() => undefined)
      if (found?.isFile() === true)
        this.#items.set(id, { id, bytes: onDisk(found.size), at: found.mtimeMs, owner: ownerOf(id) ?? '' })
    }
  }

  /** Someone may have tidied up: worth another look now and then. */
  get isStale(): boolean {
    return performance.now() - this.#scannedAt >= RESCAN_MS
  }

  add(id: string, bytes: number, owner: string): void {
    this.#items.set(id, { id, bytes: onDisk(bytes), at: Date.now(), owner })
  }

  /** @param bytes of content. @returns why there is no room, in words for the peer; undefined: there is. */
  refusal(owner: string, bytes: number): string | undefined {
    const [used, own] = [this.#usage(), this.#usage(owner)]
    used.bytes += this.reserve.of(undefined)
    own.bytes += this.reserve.of(owner)
    const fits = ({ bytes: usedBytes, files }: Usage, share: number): boolean =>
      usedBytes + onDisk(bytes) <= share * this.limits.bytes && files + 1 <= share * this.limits.files
    if (!fits(used, 1)) return 'the folder is full'
    return fits(own, OWNER_SHARE) ? undefined : "this peer's share of the folder is full"
  }

  /** Removes the oldest of the owner that uses most, down to nine tenths of the limits, if this does not fit. */
  async makeRoom(bytes: number): Promise<readonly string[]> {
    const removed: string[] = []
    const excess = (share: number): boolean => {
      const { bytes: used, files } = this.#usage()
      return used + onDisk(bytes) > share * this.limits.bytes || files + 1 > share * this.limits.files
    }
    if (!excess(1)) return removed
    while (excess(KEPT_SHARE)) {
      const oldest = this.#oldestOfLargest()
      if (oldest === undefined) return removed
      await this.remove(oldest)
      removed.push(oldest)
    }
    return removed
  }

  async remove(id: string): Promise<void> {
    this.#items.delete(id)
    await rm(join(this.dir, id), { force: true })
  }

  /** Some disk stays free foreverything else on this machine. */
  async isDiskFull(bytes: number): Promise<boolean> {
    const { bavail, bsize } = await statfs(this.dir)
    return bavail * bsize < bytes + FREE_DISK_BYTES
  }

  #oldestOfLargest(): string | undefined {
    const usages = new Map<string, Usage & { oldest: Item }>()
    for (const item of this.#items.values()) {
      const usage = usages.get(item.owner) ?? { bytes: 0, files: 0, oldest: item }
      usage.bytes += item.bytes
      usage.files += 1
      if (item.at < usage.oldest.at) usage.oldest = item
      usages.set(item.owner, usage)
    }
    const load = ({ bytes, files }: Usage): number => Math.max(bytes / this.limits.bytes, files / this.limits.files)
    return [...usages.values()].sort((a, b) => load(b) - load(a))[0]?.oldest.id
  }

  #usage(owner?: string): Usage {
    const usage = { bytes: 0, files: 0 }
    for (const item of this.#items.values()) {
      if (owner !== undefined && item.owner !== owner) continue
      usage.bytes += item.bytes
      usage.files += 1
    }
    return usage
  }
}

/** Space used by a file: whole blocks, and one for its entry. */
function onDisk(bytes: number): number {
  return (Math.ceil(bytes / BLOCK_BYTES) + 1) * BLOCK_BYTES
}

/** The minimum allocation of most file systems. */
const BLOCK_BYTES = 4_096
/** One peer leaves room for others. */
const OWNER_SHARE = 1 / 2
/** So that not every message has to make room for itself. */
const KEPT_SHARE = 0.9
/** Listing 10,000 files takes a tenth of a second. */
const RESCAN_MS = 10_000
const FREE_DISK_BYTES = 67_108_864
