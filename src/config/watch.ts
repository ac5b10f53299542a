/**
 * Tells when a file may have another content. What is watched is its folder, and that of what it points to: editors
 * write a new file and rename it, Kubernetes swaps a symbolic link beside it; a watch on the file itself would see
 * neither. Whether the content is another the caller finds out: most events in a folder are about something else.
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

  /** Resolves when changes are seen from now on. */
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
        // the folder went away; looking now and then goes on
        watcher.close()
        if (this.#watchers.get(folder) === watcher) this.#watchers.delete(folder)
      })
      this.#watchers.set(folder, watcher)
    } catch {
      /* too many watches, or a file system without: then only now and then */
    }
  }

  /** Once it has been quiet for a moment: whoever writes a file makes several events of it. */
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
/** A folder in which something always happens must not put the news off for ever. */
const PATIENCE_MS = 1_000
/** Network file systems tell nobody of what others write. */
const POLL_MS = 10_000
