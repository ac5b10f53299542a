/**
 * Reports when a file may have changed. It watches the file's folder, and that of its link target: editors write a new
 * file and rename it, Kubernetes swaps a symbolic link beside it; a watch on the file itself would see neither. The
 * caller checks whether the content has changed: most events in a folder concern other files.
 */
import { watch } from 'node:fs'
import type { FSWatcher } from 'node:fs'
import { realpath } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

export class FileWatch {
  readonly #file: string
  readonly #onEvent: () => void
  readonly #watchers = new Map<string, FSWatcher>() // by folder
  readonly #poll: NodeJS.Timeout
  #timer: NodeJS.Timeout | undefined
  #firstAt = 0
  #stopped = false

  constructor(file: string, onEvent: () => void) {
    this.#file = resolve(file)
    this.#onEvent = onEvent
    this.#poll = setInterval(() => this.#tell(), POLL_MS)
    this.#poll.unref()
  }

  /** Resolves once changes are detected. */
  async start(): Promise<void> {
    const target = await realpath(this.#file).catch(() => this.#file)
    const folders = new Set([dirname(this.#file), dirname(target)])
    for (const [folder, watcher] of this.#watchers) {
      if (folders.has(folder)) continue
      watcher.close()
      this.#watchers.delete(folder)
    }
    if (this.#stopped) return
    for (const folder of folders) if (!this.#watchers.has(folder)) this.#watch(folder)
  }

  stop(): void {
    this.#stopped = true
    clearInterval(this.#poll)
    clearTimeout(this.#timer)
    for (const watcher of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
  }

  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#soon())
      watcher.on('error', () => {
        // the folder went away; polling continues
        watcher.close()
        if (this.#watchers.get(folder) === watcher) this.#watchers.delete(folder)
      })
      this.#watchers.set(folder, watcher)
    } catch {
      /* too many watches, or an unsupported file system: then only polling */
    }
  }

  /** After a quiet moment: writing a file causes several events. */
  #soon(): void {
    const now = performance.now()
    if (this.#timer === undefined) this.#firstAt = now
    else if (now - this.#firstAt > PATIENCE_MS) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#tell(), QUIET_MS)
  }

  #tell(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    void this.start().then(() => {
      if (!this.#stopped) this.#onEvent()
    })
  }
}

const QUIET_MS = 100
/** A constantly busy folder must not postpone the report forever. */
const PATIENCE_MS = 1_000
/** Network file systems do not report writes by other machines. */
const POLL_MS = 10_000
