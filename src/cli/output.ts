/**
 * The output of a command: text for people, or with --json one object per line, in the formats that other programs rely
 * on.
 */
import { styleText } from 'node:util'
import { printableText, wrap } from '../base/printable.ts'
import type { PilotError } from '../base/errors.ts'
import type { LogFormat, LogLevel } from '../runtime/log.ts'
import { table } from './text.ts'
import type { World } from './world.ts'

/** Options of every command, before or after its name. */
export interface CommonOptions {
  readonly json?: boolean
  readonly color?: boolean // --no-color makes it false
  readonly quiet?: boolean
  readonly verbose?: boolean
  readonly logFormat?: 'auto' | 'json' | 'text'
}

export class Output {
  readonly json: boolean
  readonly quiet: boolean
  readonly #world: Pick<World, 'out' | 'err' | 'terminal' | 'logTerminal' | 'colors' | 'columns'>
  readonly #options: CommonOptions

  constructor(
    world: Pick<World, 'out' | 'err' | 'terminal' | 'logTerminal' | 'colors' | 'columns'>,
    options: CommonOptions,
  ) {
    this.#world = world
    this.#options = options
    this.json = options.json === true
    this.quiet = options.quiet === true
  }

  /** The result of a command: the record with --json, otherwise the lines. */
  result(data: unknown, lines: readonly string[]): void {
    if (this.json) this.#world.out(`${JSON.stringify({ v: 1, status: 'ok', data })}\n`)
    else this.#print(lines)
  }

  /** An event of a running process: one object per line with --json, otherwise a line unless --quiet. */
  event(event: object, line: string): void {
    if (this.json) this.#world.out(`${JSON.stringify({ v: 1, ...event })}\n`)
    else if (!this.quiet) this.#print([line])
  }

  /** Rows for people, in a form that fits into the terminal. */
  table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
    return table(head, rows, (text) => this.bold(text), this.#world.columns)
  }

  /** Only for people, and only without --quiet. */
  note(...lines: readonly string[]): void {
    if (!this.json && !this.quiet) this.#print(lines)
  }

  /** For a person at a terminal: how to undo the last change. */
  undo(command: string): void {
    if (this.#world.terminal) this.note(this.dim(`undo: ${command}`))
  }

  bold(text: string): string {
    return this.#style('bold', text)
  }
  dim(text: string): string {
    return this.#style('dim', text)
  }
  good(text: string): string {
    return this.#style('green', text)
  }
  bad(text: string): string {
    return this.#style('red', text)
  }

  /** A person reads the events; the log adds what needs attention. */
  logLevel(normal: LogLevel): LogLevel {
    if (this.#options.verbose === true) return 'debug'
    if (this.quiet) return 'error'
    return normal === 'info' && this.logFormat !== 'json' && !this.json ? 'warn' : normal
  }

  /** Text where a person reads it, unless another format was requested. */
  get logFormat(): LogFormat {
    const { logFormat = 'auto', color } = this.#options
    if (logFormat === 'json' || (logFormat === 'auto' && !this.#world.logTerminal)) return 'json'
    return color !== false && this.#world.colors ? 'colors' : 'text'
  }

  #print(lines: readonly string[]): void {
    if (lines.length > 0) this.#world.out(`${lines.join('\n').split('\n').map(printable).join('\n')}\n`)
  }

  /** styleText itself honours NO_COLOR and leaves pipes alone. */
  #style(format: 'bold' | 'dim' | 'green' | 'red', text: string): string {
    return this.#options.color === false ? text : styleText(format, text)
  }
}

/** What a person should know besides the result: on stderr, as stdout may be read by a program. */
export function sideNote(world: Pick<World, 'err' | 'logTerminal' | 'columns'>, text: string): void {
  const width = world.logTerminal ? (world.columns ?? Infinity) : Infinity
  world.err(`${wrap(`note: ${text}`, width).join('\n')}\n`)
}

/** The error format of the contract, on stdout with --json, otherwise on stderr. Returns the exit code. */
export function printError(error: PilotError, json: boolean, world: Pick<World, 'out' | 'err'>): number {
  const { code, message, hint, details } = error
  if (json)
    world.out(
      `${JSON.stringify({ v: 1, status: 'error', code, message, hint, ...(Object.keys(details).length === 0 ? {} : { details }) })}\n`,
    )
  // Several problems are one line each, in a form that editors can jump to.
  else
    world.err(
      `${(message.includes('\n') ? message : `error: ${message}`).split('\n').map(printable).join('\n')}\nhint: ${printable(hint)}\n`,
    )
  return error.exitCode
}

/**
 * Text of peers and registries may reach a line. Only our own colours reach the terminal: no other control characters,
 * and nothing that moves the cursor, renames the window or changes the writing direction.
 */
export function printable(line: string): string {
  return line
    .split(OWN_STYLES)
    .map((part, index) => (index % 2 === 1 ? part : printableText(part)))
    .join('')
}

/** The sequences of styleText: bold, dim, red, green, and their ends. */
// eslint-disable-next-line no-control-regex
const OWN_STYLES = /(\x1b\[(?:1|2|22|31|32|39)m)/
