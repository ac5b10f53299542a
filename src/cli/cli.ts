/** The tools that a command file declares itself with. */
import type { Command } from 'commander'
import type { Output } from './output.ts'
import type { World } from './world.ts'

export interface Cli {
  readonly world: World
  readonly program: Command
  /** The words after `--`; undefined without it. Only `share` takes them. */
  readonly rest: readonly string[] | undefined
  /** `usage` is the name with its arguments, as commander reads them: `ping <peer>`. */
  add(parent: Command, usage: string, summary: string, examples: readonly string[]): Command
  /** Wraps a command's action, which may return an exit code other than 0. */
  action<T extends readonly unknown[]>(
    run: (out: Output, ...args: T) => Promise<number | void>,
  ): (...args: T) => Promise<void>
}
