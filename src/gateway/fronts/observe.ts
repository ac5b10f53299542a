/**
 * Metrics, health and the dashboard, as a front of the gateway. Its implementation is in src/observe, a layer above,
 * and is passed in. It has its own table, because it starts before the node, ends after it, and is not drained.
 */
import { formatListen } from '../model/listen.ts'
import type { Desired } from '../model/options.ts'
import { ServiceTable } from '../service/table.ts'
import { Front } from './front.ts'
import type { FrontRecord, FrontSpec, Running } from './front.ts'

/** @param open listens at ip:port. @throws PilotError: if it cannot be bound. */
export function observerTable(
  open: ((listen: string) => Promise<Running>) | undefined,
): ServiceTable<FrontSpec, FrontRecord> {
  return new ServiceTable('front', (spec) => {
    if (open === undefined) throw new RangeError('no observer was passed')
    return new Front(spec, ({ address, port }) => open(formatListen(address, port)))
  })
}

/** The fronts that the options request. */
export function observersOf({ observe }: Pick<Desired, 'observe'>): FrontSpec[] {
  return observe === undefined ? [] : [{ name: 'observe', listen: observe }]
}
