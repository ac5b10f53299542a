/** The rendezvous: a registry and a beacon in one process, all that gateways need to find each other. */
import type { Socket } from 'node:net'
import type { NodeId } from '../base/types.ts'
import { registryConnections } from '../runtime/net/descriptors.ts'
import type { BeaconOptions } from './beacon/beacon.ts'
import type { Logger } from '../base/logger.ts'
import type { RegistryOptions } from './registry/options.ts'
import type { RegistryCounters } from './registry/registry.ts'
import type { RegistryStore } from './store/store.ts'
import type { BeaconNumbers } from './status.ts'
import type { ServerTls, TlsOptions } from './tls.ts'
import { parseListenAddress } from './address.ts'
import { BeaconServer } from './beacon-server.ts'
import { Beacon } from './beacon/beacon.ts'
import { RegistryServer } from './registry-server.ts'
import { Registry } from './registry/registry.ts'
import { StatusServer } from './status-server.ts'
import { openStore } from './store/open-store.ts'
import { MemoryStore } from './store/memory-store.ts'
import { loadTls } from './tls.ts'
import { WssServer } from './wss-server.ts'

export interface RendezvousOptions {
  /** `ip:port` of the registry, TCP; port 0 picks one. */
  readonly registry: string
  /** `ip:port` of the beacon, UDP; port 0 picks one. */
  readonly beacon: string
  /** `ip:port` of the status page, health checks and metrics. Absent: none. */
  readonly http?: string
  /** `ip:port` where nodes without UDP connect, by TLS: WebSocket and registry; port 0 picks one. Absent: none. */
  readonly wss?: string
  /** Folder of the store. Absent: everything is lost when the process ends. */
  readonly storeDir?: string
  /** Certificate in PEM, together with its key. Absent: a generated one, kept with the store. */
  readonly tlsCertFile?: string
  /** Private key of the certificate, PEM. */
  readonly tlsKeyFile?: string
  /** true: no plain TCP on the registry's port. Default: false. */
  readonly tlsOnly?: boolean
  /** true: beside a gateway in one process, so it takes a smaller part of the open files. Default: false. */
  readonly isEmbedded?: boolean
  /** Where it logs: `createLogger('info')`, `silentLogger`, or your own. */
  readonly log: Logger
  /** Rules of the registry that differ from the defaults: limits, compatibility, the admin token. */
  readonly rules?: Partial<RegistryOptions>
  /** The same for the beacon: its id, and other beacons. */
  readonly beaconRules?: Partial<BeaconOptions>
}

export interface Rendezvous {
  readonly registry: string // bound `ip:port`
  readonly beacon: string
  readonly http: string | undefined
  readonly wss: string | undefined
  readonly fingerprint: string // of the TLS certificate at the start, lower-case hex SHA-256
  /** Reads the certificate again; new connections get it. @throws PilotError USAGE: then the old one stays in use. */
  reloadCertificate(): Promise<{ readonly fingerprint: string; readonly changed: boolean }>
  counters(): { readonly registry: RegistryCounters; readonly beacon: BeaconNumbers }
  stop(): Promise<void> // idempotent
}

/** @throws PilotError PORT_IN_USE and the like, naming the address; then nothing stays open. */
export async function startRendezvous(options: RendezvousOptions): Promise<Rendezvous> {
  const listen = {
    registry: parseListenAddress(options.registry),
    beacon: parseListenAddress(options.beacon),
    http: options.http === undefined ? undefined : parseListenAddress(options.http),
    wss: options.wss === undefined ? undefined : parseListenAddress(options.wss),
  }
  const store = options.storeDir === undefined ? new MemoryStore() : await openStore(options.storeDir)
  try {
    return await startServers(options, listen, store, await loadTls(tlsOptions(options)))
  } catch (error) {
    await store.close()
    throw error
  }
}

function tlsOptions({ tlsCertFile, tlsKeyFile, storeDir }: RendezvousOptions): TlsOptions {
  return {
    ...(tlsCertFile !== undefined && { certFile: tlsCertFile }),
    ...(tlsKeyFile !== undefined && { keyFile: tlsKeyFile }),
    ...(storeDir !== undefined && { storeDir }),
  }
}

type Listen = Record<'registry' | 'beacon', ReturnType<typeof parseListenAddress>> & {
  readonly http: ReturnType<typeof parseListenAddress> | undefined
  readonly wss: ReturnType<typeof parseListenAddress> | undefined
}

async function startServers(
  options: RendezvousOptions,
  listen: Listen,
  store: RegistryStore,
  tls: ServerTls,
): Promise<Rendezvous> {
  const { log } = options
  const registry = new Registry(store, Date.now(), options.rules)
  if (registry.skippedRecords > 0)
    log.warn({ skipped: registry.skippedRecords }, 'skipped malformed records of the registry store')
  const { registryServer, beacon, beaconServer, wssServer } = openServers(options, listen, { registry, store, tls })
  const counters = (): ReturnType<Rendezvous['counters']> => ({
    registry: registry.counters,
    beacon: { ...beacon.counters, ...beaconServer.relayCounters, ...(wssServer?.counters ?? NO_LINKS) },
  })
  const status = {
    healthy: () => registryServer.healthy,
    counters,
    connections: () => registryServer.connectionCount,
    beaconNodes: () => beacon.entryCount,
    linkedNodes: () => beacon.linkCount,
    fingerprint: () => registryServer.fingerprint,
  }
  const statusServer = listen.http === undefined ? undefined : new StatusServer({ listen: listen.http, status, log })
  const stop = async (): Promise<void> => {
    await Promise.all([registryServer.stop(), beaconServer.stop(), statusServer?.stop(), wssServer?.stop()])
  }
  const reloadCertificate = async (): ReturnType<Rendezvous['reloadCertificate']> => {
    const renewed = options.tlsCertFile === undefined ? tls : await loadTls(tlsOptions(options)) // ours lasts ten years
    wssServer?.useCertificate(renewed)
    return { fingerprint: renewed.fingerprint, changed: registryServer.useCertificate(renewed) }
  }
  try {
    const bound = {
      registry: await registryServer.start(),
      beacon: await beaconServer.start(),
      http: await statusServer?.start(),
      wss: await wssServer?.start(),
      fingerprint: tls.fingerprint,
    }
    log.info(
      { ...bound, stored: options.storeDir !== undefined, nodes: registry.counters.liveNodes },
      'the rendezvous is running',
    )
    return { ...bound, stop, counters, reloadCertificate }
  } catch (error) {
    await stop()
    throw error
  }
}

function openServers(
  options: RendezvousOptions,
  listen: Listen,
  { registry, store, tls }: { readonly registry: Registry; readonly store: RegistryStore; readonly tls: ServerTls },
) {
  const { log, tlsOnly = false } = options
  const most = registryConnections(options.isEmbedded !== true)
  const maxConnections = listen.wss === undefined ? most : Math.floor(most / 2) // for each
  const registryServer = new RegistryServer({
    listen: listen.registry,
    registry,
    store,
    log,
    tls,
    tlsOnly,
    maxConnections,
    onMail: (node) => beaconServer.notifyOfMail(node),
  })
  const beacon = new Beacon({ knowledge: registry.knowledge, ...options.beaconRules })
  const beaconServer = new BeaconServer({ listen: listen.beacon, beacon, log })
  const wss = {
    tls,
    beacon,
    beaconServer,
    keyOf: (node: NodeId) => registry.keyOf(node),
    onRegistryClient: (socket: Socket, secure: Socket) => registryServer.adopt(socket, secure),
    maxConnections,
    log,
  }
  const wssServer = listen.wss === undefined ? undefined : new WssServer({ ...wss, listen: listen.wss })
  return { registryServer, beacon, beaconServer, wssServer }
}

const NO_LINKS: WssServer['counters'] = { linksRefused: 0, linksLimited: 0 }
