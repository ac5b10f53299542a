/** The rendezvous: a registry and a beacon in one process, all that gateways need to find each other. */
import type { BeaconCounters, BeaconOptions } from './beacon/beacon.ts'
import type { Logger } from '../base/logger.ts'
import type { RegistryOptions } from './registry/options.ts'
import type { RegistryCounters } from './registry/registry.ts'
import type { RegistryStore } from './store/store.ts'
import type { ServerTls } from './tls.ts'
import { parseListenAddress } from './address.ts'
import { BeaconServer } from './beacon-server.ts'
import { Beacon } from './beacon/beacon.ts'
import { RegistryServer } from './registry-server.ts'
import { Registry } from './registry/registry.ts'
import { StatusServer } from './status-server.ts'
import { openStore } from './store/open-store.ts'
import { MemoryStore } from './store/memory-store.ts'
import { loadTls } from './tls.ts'

export interface RendezvousOptions {
  readonly registry: string // `ip:port` to listen on, TCP; port 0 picks one
  readonly beacon: string // `ip:port` to listen on, UDP
  readonly http?: string // `ip:port` of the status page; absent: none
  readonly storeDir?: string // absent: the registry loses everything when the process ends
  readonly tlsCertFile?: string // PEM; absent: a generated certificate, kept with the store
  readonly tlsKeyFile?: string
  readonly tlsOnly?: boolean // default false: the port accepts plain TCP too
  readonly log: Logger
  readonly rules?: Partial<RegistryOptions>
  readonly beaconRules?: Partial<BeaconOptions>
}

export interface Rendezvous {
  readonly registry: string // bound `ip:port`
  readonly beacon: string
  readonly http: string | undefined
  readonly fingerprint: string // of the TLS certificate, lower-case hex SHA-256
  counters(): { readonly registry: RegistryCounters; readonly beacon: BeaconCounters & BeaconServer['relayCounters'] }
  stop(): Promise<void> // idempotent
}

/** @throws PilotError PORT_IN_USE and the like, naming the address; then nothing stays open. */
export async function startRendezvous(options: RendezvousOptions): Promise<Rendezvous> {
  const listen = {
    registry: parseListenAddress(options.registry),
    beacon: parseListenAddress(options.beacon),
    http: options.http === undefined ? undefined : parseListenAddress(options.http),
  }
  const store = options.storeDir === undefined ? new MemoryStore() : await openStore(options.storeDir)
  try {
    return await startServers(
      options,
      listen,
      store,
      await loadTls({
        ...(options.tlsCertFile !== undefined && { certFile: options.tlsCertFile }),
        ...(options.tlsKeyFile !== undefined && { keyFile: options.tlsKeyFile }),
        ...(options.storeDir !== undefined && { storeDir: options.storeDir }),
      }),
    )
  } catch (error) {
    await store.close()
    throw error
  }
}

type Listen = Record<'registry' | 'beacon', ReturnType<typeof parseListenAddress>> & {
  readonly http: ReturnType<typeof parseListenAddress> | undefined
}

async function startServers(
  options: RendezvousOptions,
  listen: Listen,
  store: RegistryStore,
  tls: ServerTls,
): Promise<Rendezvous> {
  const { log, tlsOnly = false } = options
  const registry = new Registry(store, options.rules)
  if (registry.skippedRecords > 0)
    log.warn({ skipped: registry.skippedRecords }, 'skipped malformed records of the registry store')
  const registryServer = new RegistryServer({ listen: listen.registry, registry, store, log, tls, tlsOnly })
  const beacon = new Beacon({ knowledge: registry.knowledge, ...options.beaconRules })
  const beaconServer = new BeaconServer({ listen: listen.beacon, beacon, log })
  registry.onMail = (node) => beaconServer.notifyOfMail(node)
  const counters = (): ReturnType<Rendezvous['counters']> => ({
    registry: registry.counters,
    beacon: { ...beacon.counters, ...beaconServer.relayCounters },
  })
  const status = {
    healthy: () => registryServer.healthy,
    counters,
    connections: () => registryServer.connectionCount,
    beaconNodes: () => beacon.entryCount,
  }
  const statusServer = listen.http === undefined ? undefined : new StatusServer({ listen: listen.http, status, log })
  const stop = async (): Promise<void> => {
    await Promise.all([registryServer.stop(), beaconServer.stop(), statusServer?.stop()])
  }
  try {
    const bound = {
      registry: await registryServer.start(),
      beacon: await beaconServer.start(),
      http: await statusServer?.start(),
      fingerprint: tls.fingerprint,
    }
    log.info(
      { ...bound, stored: options.storeDir !== undefined, nodes: registry.counters.liveNodes },
      'the rendezvous is running',
    )
    return { ...bound, stop, counters }
  } catch (error) {
    await stop()
    throw error
  }
}
