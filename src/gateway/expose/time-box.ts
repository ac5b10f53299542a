/**
 * Exposures that end on their own: after a time (`for`), or after one connection (`once`). An ended one stays ended,
 * although the configuration still names it, until it is requested again. Above: gateway.ts.
 */
import { isDeepStrictEqual } from 'node:util'
import type { ExposeSpec } from '../model/expose-spec.ts'

export class TimeBoxes {
  readonly #onOver: (name: string, reason: 'for' | 'once') => void
  readonly #running = new Map<
    string,
    { readonly spec: ExposeSpec; readonly endsAt: string; readonly timer: NodeJS.Timeout }
  >()
  readonly #over = new Map<string, ExposeSpec>()

  constructor(onOver: (name: string, reason: 'for' | 'once') => void) {
    this.#onOver = onOver
  }

  /** The exposure listens. The same one again (after a drain) does not restart its time. */
  begin(spec: ExposeSpec): void {
    const { name, forMs } = spec
    const known = this.#running.get(name)
    if (known !== undefined && isDeepStrictEqual(known.spec, spec)) return
    this.#forget(name)
    if (forMs !== undefined)
      this.#running.set(name, {
        spec,
        endsAt: new Date(Date.now() + forMs).toISOString(),
        timer: setTimeout(() => this.end(spec, 'for'), forMs).unref(),
      })
  }

  end(spec: ExposeSpec, reason: 'for' | 'once'): void {
    this.#forget(spec.name)
    this.#over.delete(spec.name)
    this.#over.set(spec.name, spec)
    if (this.#over.size > MAX_OVER) this.#over.delete(this.#over.keys().next().value!)
    this.#onOver(spec.name, reason)
  }

  isOver(spec: ExposeSpec): boolean {
    return isDeepStrictEqual(this.#over.get(spec.name), spec)
  }

  /** RFC 3339; undefined: it has no end. */
  endOf(name: string): string | undefined {
    return this.#running.get(name)?.endsAt
  }

  /** Requested again by a person: it may start again. */
  renew(name: string): void {
    this.#over.delete(name)
  }

  /** Exposures not listed here no longer run. */
  keep(specs: readonly ExposeSpec[]): void {
    const names = new Set(specs.map(({ name }) => name))
    for (const name of this.#running.keys()) if (!names.has(name)) this.#forget(name)
  }

  stop(): void {
    this.keep([])
  }

  #forget(name: string): void {
    clearTimeout(this.#running.get(name)?.timer)
    this.#running.delete(name)
  }
}

/** More names than people use for exposures; if the oldest is dropped, it could start again with its configuration. */
const MAX_OVER = 1_024
