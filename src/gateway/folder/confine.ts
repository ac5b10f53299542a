/**
 * Which file a URL path may reach: nothing outside of the folder, however the path is written and wherever links lead;
 * nothing whose name begins with a dot; nothing in the gateway's own state. Above: folder-server.ts.
 */
import { constants } from 'node:fs'
import { lstat, open, opendir, realpath } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'

export type Found =
  | { readonly kind: 'file'; readonly handle: FileHandle; readonly bytes: number; readonly modifiedMs: number }
  | { readonly kind: 'folder'; readonly path: string }

export interface Entry {
  readonly name: string
  readonly isFolder: boolean
  readonly bytes: number
  readonly modifiedMs: number
}

export class Confined {
  readonly #root: string
  readonly #withheld: string

  /** @param root absolute. @param withheld a folder of which nothing is reachable, absolute. */
  constructor(root: string, withheld: string) {
    this.#root = root
    this.#withheld = withheld
  }

  /** @param path of a URL, still encoded. A file is open; the caller closes it. @returns undefined: not found. */
  async find(path: string): Promise<Found | undefined> {
    const names = namesOf(path)
    return names === undefined ? undefined : await this.#open(join(this.#root, ...names))
  }

  /** What a folder that `find` found contains, cut at `most` entries. */
  async list(folder: string, most: number): Promise<{ readonly entries: readonly Entry[]; readonly isCut: boolean }> {
    const entries: Entry[] = []
    const opened = await opendir(folder).catch(() => undefined)
    if (opened === undefined) return { entries, isCut: false }
    for await (const { name } of opened) {
      const found = isHidden(name) ? undefined : await this.#look(join(folder, name))
      if (found === undefined) continue
      if (entries.length === most) return { entries, isCut: true } // leaving the loop closes it
      entries.push({ name, ...found })
    }
    return { entries, isCut: false }
  }

  async #look(path: string): Promise<Omit<Entry, 'name'> | undefined> {
    const real = await this.#inside(path)
    const stats = real === undefined ? undefined : await lstat(real).catch(() => undefined)
    if (stats === undefined || !(stats.isDirectory() || stats.isFile())) return undefined
    return { isFolder: stats.isDirectory(), bytes: stats.size, modifiedMs: stats.mtimeMs }
  }

  async #open(path: string): Promise<Found | undefined> {
    const real = await this.#inside(path)
    if (real === undefined) return undefined
    const kind = await lstat(real).catch(() => undefined)
    if (kind?.isDirectory() === true) return { kind: 'folder', path: real }
    if (kind?.isFile() !== true) return undefined // opening a device can do things
    const handle = await open(real, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
      () => undefined,
    )
    if (handle === undefined) return undefined
    const stats = await handle.stat()
    // It may have been replaced by a link in the meantime: the opened file must be the one that lies there.
    const again = (await this.#inside(real)) === real ? await lstat(real).catch(() => undefined) : undefined
    if (stats.isFile() && again?.ino === stats.ino && again.dev === stats.dev)
      return { kind: 'file', handle, bytes: stats.size, modifiedMs: stats.mtimeMs }
    await handle.close()
    return undefined
  }

  /** The real path, if it is one of ours. The root itself may be a link. */
  async #inside(path: string): Promise<string | undefined> {
    try {
      const [root, real] = [await realpath(this.#root), await realpath(path)]
      const below = relative(root, real)
      if (below === '..' || below.startsWith(`..${sep}`) || below.split(sep).some(isHidden)) return undefined
      const withheld = await realpath(this.#withheld).catch(() => undefined)
      return withheld !== undefined && (real === withheld || real.startsWith(withheld + sep)) ? undefined : real
    } catch {
      return undefined
    }
  }
}

/** The decoded names in a path; undefined if one is not the name of a visible file. */
function namesOf(path: string): string[] | undefined {
  try {
    const names = path
      .split('/')
      .filter((name) => name !== '')
      .map(decodeURIComponent)
    return names.some((name) => isHidden(name) || /[/\\\0]/.test(name)) ? undefined : names
  } catch {
    return undefined
  }
}

function isHidden(name: string): boolean {
  return name.startsWith('.')
}
