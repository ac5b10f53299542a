/**
 * A disk that fails now and then: node:fs calls fail with a seeded probability, some of them half done.
 * `import { open } from 'node:fs/promises'` sees it too: built-in modules re-export patched functions.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

type Call = (...args: unknown[]) => unknown

const PROMISED = ['open', 'rename', 'chmod', 'mkdir'] as const
const BLOCKING = ['mkdirSync', 'openSync', 'writeFileSync', 'fchmodSync', 'fsyncSync', 'renameSync'] as const
const OF_A_FILE = ['writeFile', 'appendFile', 'sync', 'datasync'] as const
/** What write(2), fsync(2), rename(2) and open(2) may answer on a machine in trouble. */
const CODES = ['ENOSPC', 'EIO', 'EMFILE', 'EINTR', 'EROFS', 'EDQUOT'] as const

export class FailingDisk {
  /** Out of a hundred calls. */
  percent = 0
  failures = 0
  readonly #random: (limit: number) => number
  readonly #undo: (() => void)[] = []

  static async install(random: (limit: number) => number): Promise<FailingDisk> {
    const disk = new FailingDisk(random)
    const handle = await fs.promises.open(join(tmpdir(), `.pg-probe-${process.pid}`), 'w')
    const prototype = Object.getPrototypeOf(handle) as Record<string, Call>
    await handle.close()
    for (const name of PROMISED) disk.#replace(fs.promises as unknown as Record<string, Call>, name, true)
    for (const name of BLOCKING) disk.#replace(fs as unknown as Record<string, Call>, name, false)
    for (const name of OF_A_FILE) disk.#replace(prototype, name, true)
    syncBuiltinESMExports()
    return disk
  }

  private constructor(random: (limit: number) => number) {
    this.#random = random
  }

  remove(): void {
    for (const undo of this.#undo) undo()
    syncBuiltinESMExports()
  }

  #replace(holder: Record<string, Call>, name: string, isAsync: boolean): void {
    const original = holder[name]!
    const draw = (): Error | undefined => this.#draw(name)
    const halfOf = (args: unknown[]): unknown[] | undefined => this.#half(name, args)
    holder[name] = function failing(this: unknown, ...args: unknown[]): unknown {
      const error = draw()
      if (error === undefined) return original.apply(this, args)
      if (!isAsync) throw error
      const half = halfOf(args)
      if (half === undefined) return Promise.reject(error)
      return Promise.resolve(original.apply(this, half)).then(() => Promise.reject(error))
    }
    this.#undo.push(() => (holder[name] = original))
  }

  /** The error of this call; undefined: it succeeds. */
  #draw(name: string): Error | undefined {
    if (this.#random(100) >= this.percent) return undefined
    this.failures += 1
    return this.#error(name)
  }

  #error(call: string): Error {
    const code = CODES[this.#random(CODES.length)]!
    return Object.assign(new Error(`${code}: ${call}`), { code, syscall: call })
  }

  /** A write may have reached the disk in part before it failed. */
  #half(name: string, args: readonly unknown[]): unknown[] | undefined {
    const [text] = args
    if ((name !== 'writeFile' && name !== 'appendFile') || typeof text !== 'string') return undefined
    return [text.slice(0, this.#random(text.length + 1)), ...args.slice(1)]
  }
}
