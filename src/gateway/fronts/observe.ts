/**
 * Metrics, health and the dashboard, as a front of the gateway. What answers there lies in src/observe, a layer above, and
 * is handed in. It has a table of its own, for it begins before the node and ends after it, and takes no part in a drain.
 */
import { formatListen } from '../model/listen.ts'
import type { Desired } from '../model/options.ts'
import { ServiceTable } from '../service/table.ts'
import { Front } from './front.ts'
import type { FrontRecord, FrontSpec, Running } from './front.ts'

/** @param open listens at ip:port. @throws PilotError: whatever cannot be bound. */
export function observerTable(
  open: ((listen: string) => Promise<Running>) | undefined,
): ServiceTable<FrontSpec, FrontRecord> {
  return new ServiceTable('front', (spec) => {
    if (open === undefined) throw new RangeError('no observer was passed')
    return new Front(spec, ({ address, port }) => open(formatListen(address, port)))
  })
}

/** What the options ask for. */
export function observersOf({ observe }: Pick<Desired, 'observe'>): FrontSpec[] {
  return observe === undefined ? [] : [{ name: 'observe', listen: observe }]
}
