/**
 * What runs by specification and may change while the gateway runs: services by name, and the transition from the
 * running to the wanted state. Above: gateway.ts, which has a table for each kind. Below: the listeners (map/tcp.ts,
 * expose/tcp.ts, …).
 *
 * A service with an unchanged specification is not touched. A removed or changed one stops listening; its open
 * connections are orphaned and end on their own.
 */
import { isDeepStrictEqual } from 'node:util'
import { PilotError } from '../../base/errors.ts'

/** A listener, created from its specification. */
export interface Service<Record> {
  readonly record: Record
  /** After a `stop`, at the same address. @throws PilotError: if something cannot be bound. */
  start(): Promise<void>
  /** No new connections; open ones continue. The address or port is free when this returns. */
  stop(): void
  /**
   * Takes over from a running service of its kind at the address where this one would listen, without a gap in
   * listening; the other is stopped, as by `stop`. @returns false if the address differs.
   */
  takeOver?(running: Service<Record>): boolean
  /** Fills in missing parts of the record; never rejects. */
  identify?(): Promise<void>
}

export interface Difference<Spec> {
  readonly added: readonly Spec[]
  readonly removed: readonly Spec[]
  readonly changed: readonly Spec[] // as wanted; one of the same name is running
}

/** Restores everything; never rejects. */
export type Undo = () => Promise<void>

interface Entry<Spec, Record> {
  readonly spec: Spec
  readonly service: Service<Record>
  readonly draining: boolean // stopped for now, but still in the table
}

export class ServiceTable<Spec extends { readonly name: string }, Record extends object> {
  readonly #kind: string // for messages: "mapping"
  readonly #make: (spec: Spec) => Service<Record>
  #entries = new Map<string, Entry<Spec, Record>>()

  constructor(kind: string, make: (spec: Spec) => Service<Record>) {
    this.#kind = kind
    this.#make = make
  }

  get specs(): readonly Spec[] {
    return [...this.#entries.values()].map(({ spec }) => spec)
  }
  get records(): readonly (Record & { readonly draining?: true })[] {
    return [...this.#entries.values()].map(recordOf)
  }

  /** The first with a matching record. */
  find(fits: (record: Record) => boolean): Spec | undefined {
    for (const { spec, service } of this.#entries.values()) if (fits(service.record)) return spec
    return undefined
  }

  service(name: string): Service<Record> | undefined {
    return this.#entries.get(name)?.service
  }

  /** @throws PilotError NOT_FOUND. */
  record(name: string): Record & { readonly draining?: true } {
    return recordOf(this.#entry(name))
  }

  /**
   * Makes the running services equal to `wanted`, in its order; all or nothing. New ones that conflict with nothing
   * start first, so that a taken port is detected before anything is stopped. Changed ones that keep their address
   * listen throughout.
   * @throws PilotError: if something cannot be bound; everything is then as before.
   */
  async become(wanted: readonly Spec[]): Promise<Undo> {
    const { added, removed, changed } = difference(this.specs, wanted)
    const before = this.#entries
    const fresh = new Map<string, Entry<Spec, Record>>()
    const swapped = new Map<string, Service<Record>>()
    const undo = async (): Promise<void> => {
      for (const [name, service] of swapped) if (before.get(name)!.service.takeOver?.(service) !== true) service.stop()
      for (const [name, { service }] of fresh) if (!swapped.has(name)) service.stop()
      this.#entries = new Map(before)
      for (const entry of stopped) this.#entries.set(entry.spec.name, await this.#again(entry))
    }
    let stopped: readonly Entry<Spec, Record>[] = []
    try {
      const late: Spec[] = []
      const moved: Spec[] = []
      for (const spec of added) {
        const entry = await this.#started(spec, removed.length + changed.length > 0)
        if (entry === undefined) late.push(spec)
        else fresh.set(spec.name, entry)
      }
      for (const spec of changed) {
        const { service: running, draining } = before.get(spec.name)!
        const service = this.#make(spec)
        if (draining || service.takeOver?.(running) !== true) moved.push(spec)
        else {
          swapped.set(spec.name, service)
          fresh.set(spec.name, { spec, service, draining })
        }
      }
      stopped = [...removed, ...moved].map(({ name }) => before.get(name)!)
      for (const { service } of stopped) service.stop()
      for (const spec of [...moved, ...late]) fresh.set(spec.name, (await this.#started(spec, false))!)
    } catch (error) {
      await undo()
      throw error
    }
    this.#entries = new Map(wanted.map(({ name }) => [name, fresh.get(name) ?? before.get(name)!]))
    return undo
  }

  /** Fills in missing parts of the records. */
  async identify(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.#entry(name).service.identify?.()))
  }

  /** Stops listening but stays in the table. @throws PilotError NOT_FOUND. */
  drain(name: string): void {
    const entry = this.#entry(name)
    entry.service.stop()
    this.#entries.set(name, { ...entry, draining: true })
  }

  /** Listens again. @throws PilotError NOT_FOUND, or if it cannot be bound. */
  async resume(name: string): Promise<void> {
    const entry = this.#entry(name)
    if (!entry.draining) return
    await entry.service.start()
    this.#entries.set(name, { ...entry, draining: false })
  }

  stop(): void {
    for (const { service } of this.#entries.values()) service.stop()
  }

  #entry(name: string): Entry<Spec, Record> {
    const entry = this.#entries.get(name)
    if (entry === undefined) throw new PilotError('NOT_FOUND', `there is no ${this.#kind} "${name}"`, { name })
    return entry
  }

  /** @returns undefined if its address is taken, but may become free once others have been stopped. */
  async #started(spec: Spec, mayWait: boolean): Promise<Entry<Spec, Record> | undefined> {
    const service = this.#make(spec)
    try {
      await service.start()
    } catch (error) {
      service.stop()
      if (mayWait && error instanceof PilotError && error.code === 'PORT_IN_USE') return undefined
      throw error
    }
    return { spec, service, draining: false }
  }

  /** The address was ours a moment ago; if it was taken in the meantime, the entry stays and shows as draining. */
  async #again(entry: Entry<Spec, Record>): Promise<Entry<Spec, Record>> {
    if (entry.draining) return entry
    return await entry.service.start().then(
      () => entry,
      () => ({ ...entry, draining: true }),
    )
  }
}

/** By name; a spec is a plain value, compared as a whole. */
export function difference<Spec extends { readonly name: string }>(
  running: readonly Spec[],
  wanted: readonly Spec[],
): Difference<Spec> {
  const now = new Map(running.map((spec) => [spec.name, spec]))
  const names = new Set(wanted.map(({ name }) => name))
  return {
    added: wanted.filter(({ name }) => !now.has(name)),
    removed: running.filter(({ name }) => !names.has(name)),
    changed: wanted.filter((spec) => now.has(spec.name) && !isDeepStrictEqual(now.get(spec.name), spec)),
  }
}

function recordOf<Record extends object>({
  service,
  draining,
}: {
  readonly service: Service<Record>
  readonly draining: boolean
}): Record & { readonly draining?: true } {
  return draining ? { ...service.record, draining } : service.record
}
