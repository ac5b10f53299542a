/** The result of a configuration change: the affected names, and the events that report it. */
import type { Changes, GatewayEvent } from './model/events.ts'
import type { ExposeSpec } from './model/expose-spec.ts'
import type { MapSpec } from './model/map-spec.ts'
import type { ExposedRecord, MappedRecord } from './model/records.ts'
import { difference } from './service/table.ts'

/** One configuration, running or wanted. */
export interface Standing {
  readonly maps: readonly MapSpec[]
  readonly exposes: readonly ExposeSpec[]
  readonly trust: readonly string[]
  readonly fronts: ReadonlyArray<{ readonly name: string }>
}

export function changesBetween(running: Standing, wanted: Standing): Changes {
  const map = difference(running.maps, wanted.maps)
  const expose = difference(running.exposes, wanted.exposes)
  const fronts = difference(running.fronts, wanted.fronts)
  const names = (specs: readonly { readonly name: string }[]): string[] => specs.map(({ name }) => name)
  return {
    mapped: names(map.added),
    unmapped: names(map.removed),
    remapped: names(map.changed),
    exposed: names(expose.added),
    unexposed: names(expose.removed),
    reexposed: names(expose.changed),
    trust: wanted.trust.filter((peer) => !running.trust.includes(peer)),
    sections: names([...fronts.added, ...fronts.removed, ...fronts.changed]),
  }
}

export interface Listening {
  readonly mappings: readonly MappedRecord[]
  readonly exposures: readonly ExposedRecord[]
}

/**
 * First the removed ones, by their old records, then the added ones. @param reason why an exposure ended on its own.
 */
export function changeEvents(
  changes: Changes,
  before: Listening,
  now: Listening,
  reason: 'for' | 'once' | undefined,
): GatewayEvent[] {
  const why = reason === undefined ? {} : { reason }
  return [
    ...named(before.mappings, changes.unmapped, changes.remapped).map((r) => ({ event: 'unmapped' as const, ...r })),
    ...named(before.exposures, changes.unexposed, changes.reexposed).map((r) => ({
      event: 'unexposed' as const,
      ...r,
      ...why,
    })),
    ...named(now.mappings, changes.mapped, changes.remapped).map((r) => ({ event: 'mapped' as const, ...r })),
    ...named(now.exposures, changes.exposed, changes.reexposed).map((r) => ({ event: 'exposed' as const, ...r })),
  ]
}

function named<R extends { readonly name: string }>(records: readonly R[], ...lists: (readonly string[])[]): R[] {
  const byName = new Map(records.map((record) => [record.name, record]))
  return lists.flat().map((name) => byName.get(name)!)
}
