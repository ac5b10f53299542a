/** The rendezvous: a registry and a beacon in one process, which is all that gateways need to find each other. */
import type { BeaconCounters, BeaconOptions } from './beacon/beacon.ts'
import type { ServerLog } from './log.ts'
import type { RegistryOptions } from './registry/options.ts'
import type { RegistryCounters } from './registry/registry.ts'
import { parseListenAddress } from './address.ts'
import { BeaconServer } from './beacon-server.ts'
import { Beacon } from './beacon/beacon.ts'
import { RegistryServer } from './registry-server.ts'
import { Registry } from './registry/registry.ts'
import { openLmdbStore } from './store/lmdb-store.ts'
import { MemoryStore } from './store/memory-store.ts'

export interface RendezvousOptions {
  readonly registry: string // `ip:port` to listen on, TCP; port 0 picks one
  readonly beacon: string // `ip:port` to listen on, UDP
  readonly storeDir?: string // absent: the registry forgets everything with the process
  readonly log: ServerLog
  readonly rules?: Partial<RegistryOptions>
  readonly beaconRules?: Partial<BeaconOptions>
}

export interface Rendezvous {
  readonly registry: string // bound `ip:port`
  readonly beacon: string
  counters (): { readonly registry: RegistryCounters, readonly beacon: BeaconCounters & BeaconServer['relayCounters'] }
  stop (): Promise<void> // idempotent
}

/** @throws PilotError PORT_IN_USE and the like, naming the address; then nothing stays open. */
export async function startRendezvous (options: RendezvousOptions): Promise<Rendezvous> {
  const { log } = options
  const registryListen = parseListenAddress(options.registry)
  const beaconListen = parseListenAddress(options.beacon)
  const store = options.storeDir === undefined ? new MemoryStore() : await openLmdbStore(options.storeDir)
  const registry = new Registry(store, options.rules)
  if (registry.skippedRecords > 0) log.warn({ skipped: registry.skippedRecords }, 'records of the registry store made no sense and were skipped')
  const registryServer = new RegistryServer({ listen: registryListen, registry, store, log })
  const beacon = new Beacon(options.beaconRules)
  const beaconServer = new BeaconServer({ listen: beaconListen, beacon, log })
  const stop = async (): Promise<void> => {
    await Promise.all([registryServer.stop(), beaconServer.stop()])
  }
  try {
    const bound = { registry: await registryServer.start(), beacon: await beaconServer.start() }
    log.info({ ...bound, stored: options.storeDir !== undefined, nodes: registry.counters.liveNodes }, 'rendezvous is up')
    return { ...bound, stop, counters: () => ({ registry: registry.counters, beacon: { ...beacon.counters, ...beaconServer.relayCounters } }) }
  } catch (error) {
    await stop()
    throw error
  }
}
