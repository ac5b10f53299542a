/**
 * Who sent what: one line of JSON for each message and file that was kept, written before the file gets its name. A line
 * whose temporary file is still there was interrupted in between: the rename is then made up for.
 */
import { open, readFile, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { NodeId } from '../../base/types.ts'
import { writeFileAtomically } from '../../runtime/files/atomic.ts'
import { makeFolder } from '../../runtime/files/folder.ts'
import { dirname } from 'node:path'
import type { MessageType } from './records.ts'

export interface Entry {
  readonly id: string // name of the file
  readonly temporary: string // path of what becomes it
  readonly type: MessageType
  readonly owner: string // key of the sender, or its node id
  readonly node: NodeId
  readonly from: string
  readonly fromName: string
  readonly bytes: number
  readonly at: number // ms since 1970
  readonly name?: string
  readonly messageId?: string
  readonly replyTo?: string
  readonly receipt?: string // by which a repetition is recognised
}

export class Journal {
  readonly #path: string
  #writing: Promise<unknown> = Promise.resolve()

  constructor(path: string) {
    this.#path = path
  }

  /** @param keep which lines stay. @returns those, oldest first. */
  async open(keep: (entry: Entry) => Promise<boolean>): Promise<readonly Entry[]> {
    const text = await readFile(this.#path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return ''
      throw error
    })
    const kept: Entry[] = []
    for (const line of text.split('\n').slice(-MAX_LINES)) {
      const entry = parse(line)
      if (entry !== undefined && (await keep(entry))) kept.push(entry)
    }
    if (text !== '') await writeFileAtomically(this.#path, kept.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
    return kept
  }

  /** Resolves when it is on disk. */
  append(entry: Entry): Promise<void> {
    const written = this.#writing.then(async () => {
      await makeFolder(dirname(this.#path))
      const file = await open(this.#path, 'a', 0o600)
      try {
        await file.write(`${JSON.stringify(entry)}\n`)
        await file.datasync()
      } finally {
        await file.close()
      }
    })
    this.#writing = written.catch(() => {})
    return written
  }
}

/** What was interrupted before its rename. @returns false if there is nothing at its name now. */
export async function complete(dir: string, { temporary, id }: Entry): Promise<boolean> {
  const path = join(dir, id)
  await rename(temporary, path).catch(() => {}) // it is gone: the usual case
  return (await stat(path).catch(() => undefined)) !== undefined
}

/** A line that was cut by a crash is left out. */
function parse(line: string): Entry | undefined {
  try {
    const entry = JSON.parse(line) as Partial<Entry> | null
    const isEntry =
      typeof entry?.id === 'string' &&
      typeof entry.temporary === 'string' &&
      typeof entry.owner === 'string' &&
      typeof entry.at === 'number'
    return isEntry ? (entry as Entry) : undefined
  } catch {
    return undefined
  }
}

/** As many as the two folders hold files, and as many receipts again. */
const MAX_LINES = 40_000
