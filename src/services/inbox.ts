/**
 * Storage for messages and files of peers: DIR/inbox and DIR/received, with the reference's file names (services.md
 * §6). Only the last element of a peer's file name is used, nothing is overwritten, and both one peer and all peers
 * together are limited, in bytes on disk and in files.
 */
import { readdir, rm, stat, writeFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import type { NodeId } from '../base/types.ts'
import { makeFolder } from '../runtime/files/folder.ts'

export interface Sender {
  readonly node: NodeId
  readonly name: string
}

interface Usage {
  bytes: number
  files: number
}

export class Inbox {
  readonly #dir: string
  #used: Promise<Usage> | undefined // undefined: not counted yet
  #countedAt = -Infinity
  readonly #bySender = new Map<NodeId, Usage>() // since the start; no more senders than trusted peers

  constructor(dir: string) {
    this.#dir = dir
  }

  /** A text, JSON or binary message. @returns the path. @throws Error: full, or the file system's error. */
  async saveMessage(type: 'TEXT' | 'BINARY' | 'JSON', from: Sender, content: Uint8Array, now: Date): Promise<string> {
    const binary = type === 'BINARY'
    const record = {
      type,
      from: from.name,
      data: Buffer.from(content).toString(binary ? 'base64' : 'utf8'),
      ...(binary && { encoding: 'base64' }), // the reference corrupts invalid UTF-8
      bytes: content.length,
      received_at: `${now.toISOString().slice(0, 19)}Z`,
    }
    const text = Buffer.from(`${JSON.stringify(record, undefined, 2)}\n`)
    return await this.#write(from, { folder: 'inbox', base: type, extension: '.json' }, text, now)
  }

  /** @param name as sent by the peer. */
  async saveFile(name: string, from: Sender, content: Uint8Array, now: Date): Promise<string> {
    const base =
      name
        .split(/[/\\]/)
        .at(-1)!
        .replaceAll(/[^\p{L}\p{N}._ -]/gu, '_')
        .replace(/^[.-]+/, '') // hidden; an option of a command
        .slice(-MAX_NAME) || 'file'
    const extension = extname(base)
    const place = { folder: 'received', base: base.slice(0, base.length - extension.length), extension }
    return await this.#write(from, place, content, now)
  }

  async #write(from: Sender, place: Place, content: Uint8Array, now: Date): Promise<string> {
    const dir = join(this.#dir, place.folder)
    await makeFolder(dir)
    const release = await this.#reserve(from, onDisk(content.length))
    try {
      return await writeBeside(dir, place, content, now)
    } catch (error) {
      release()
      throw error
    }
  }

  /** @returns a function that releases it. @throws Error: full. */
  async #reserve({ node }: Sender, bytes: number): Promise<() => void> {
    const used = await this.#usage(bytes)
    const own = this.#bySender.get(node) ?? { bytes: 0, files: 0 }
    if (!fits(used, bytes, 1)) throw new Error('the inbox is full')
    if (!fits(own, bytes, SENDER_SHARE)) throw new Error("this peer's share of the inbox is full")
    this.#bySender.set(node, own)
    for (const usage of [used, own]) add(usage, bytes, 1)
    return () => {
      for (const usage of [used, own]) add(usage, -bytes, -1)
    }
  }

  /** If it seems full, someone may have tidied up: it is recounted now and then. */
  async #usage(bytes: number): Promise<Usage> {
    const used = await this.#used
    const isFull = used !== undefined && !fits(used, bytes, 1)
    if (used !== undefined && !(isFull && performance.now() - this.#countedAt >= RECOUNT_MS)) return used
    this.#countedAt = performance.now()
    this.#used = count([join(this.#dir, 'inbox'), join(this.#dir, 'received')])
    return await this.#used
  }
}

interface Place {
  readonly folder: string
  readonly base: string
  readonly extension: string
}

async function writeBeside(dir: string, { base, extension }: Place, content: Uint8Array, now: Date): Promise<string> {
  const iso = now.toISOString()
  const stamp = `${iso.slice(0, 10).replaceAll('-', '')}-${iso.slice(11, 23).replaceAll(':', '')}`
  for (let copy = 0; copy < MAX_COPIES; copy++) {
    const path = join(dir, `${base}-${stamp}${copy === 0 ? '' : `-${copy}`}${extension}`)
    if (await writeNew(path, content)) return path
  }
  throw new Error('too many files of that name')
}

/** @returns false if the name is already taken. */
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

async function count(dirs: readonly string[]): Promise<Usage> {
  const used = { bytes: 0, files: 0 }
  for (const dir of dirs)
    for (const name of await readdir(dir).catch(() => []))
      add(used, onDisk((await stat(join(dir, name)).catch(() => ({ size: 0 }))).size), 1)
  return used
}

function add(usage: Usage, bytes: number, files: number): void {
  usage.bytes += bytes
  usage.files += files
}

function fits(usage: Usage, bytes: number, share: number): boolean {
  return usage.bytes + bytes <= share * INBOX_LIMIT_BYTES && usage.files + 1 <= share * INBOX_LIMIT_FILES
}

/** Space used by a file: whole blocks, and one for its entry. */
function onDisk(bytes: number): number {
  return (Math.ceil(bytes / BLOCK_BYTES) + 1) * BLOCK_BYTES
}

/** Disk space that peers can fill. Beyond it, messages are answered with an error until someone tidies up. */
const INBOX_LIMIT_BYTES = 268_435_456
/** A folder that a person can still browse, and that is listed quickly. */
const INBOX_LIMIT_FILES = 10_000
/** Share of one peer between restarts, so that there is always room for others. */
const SENDER_SHARE = 1 / 4
/** The minimum allocation of most file systems. */
const BLOCK_BYTES = 4_096
/** Listing 10,000 files takes a tenth of a second. */
const RECOUNT_MS = 10_000
/** Messages of one type, or files of one name, within one millisecond. */
const MAX_COPIES = 1_000
/** Of a file's name, characters: with the date it stays below the 255 bytes that file systems allow. */
const MAX_NAME = 60
