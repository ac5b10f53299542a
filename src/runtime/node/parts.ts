/** The parts of our own node, opened but not connected: files read, socket bound, core created. Above: node.ts. */
import { crc32 } from 'node:zlib'
import type { Identity } from '../../crypto/identity.ts'
import { chooseCrypto } from '../../crypto/self-test.ts'
import type { Transport } from '../../proto/rendezvous/beacon-way.ts'
import { OverlayCore } from '../../proto/node/core.ts'
import { monotonicNow, systemRandom, timestampOf, unixSecondsOf } from '../clock.ts'
import { loadState } from '../files/identity.ts'
import { loadPlaces, placesPath } from '../files/places.ts'
import { PilotError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { BeaconName, resolveFor } from '../net/beacon-name.ts'
import type { DatagramPort, DatagramSink } from '../net/datagram-port.ts'
import {
  beaconTargets,
  endpointOption,
  registryTargets,
  type RegistryTarget,
  type WssTarget,
} from '../net/endpoints.ts'
import { maxDatagramTo, ownNetwork } from '../net/interfaces.ts'
import { UdpSocket } from '../net/udp-socket.ts'
import { loadNative } from '../native/addon.ts'
import { NativePort } from '../native/port.ts'
import type { Endpoint } from '../../base/types.ts'
import type { PlacesFile } from '../../wire/places-file.ts'
import { maxSegmentFor, type OverlayNodeOptions } from './options.ts'
import { pinsOf, type Pins } from './pinned.ts'
import { PlacesKeeper } from './places-keeper.ts'
import { rehearseOnce } from './rehearsal.ts'
import { TrustKeeper } from './trust-keeper.ts'

export interface NodeParts {
  readonly identity: Identity
  readonly core: OverlayCore
  readonly socket: DatagramPort
  readonly noNative: string | undefined // why the native port is not used
  readonly sink: DatagramSink // of the socket: to be connected to the core
  readonly keeper: TrustKeeper
  readonly placesKeeper: PlacesKeeper
  readonly registry: readonly RegistryTarget[]
  readonly wss: readonly WssTarget[]
  readonly transport: Transport
  readonly beacon: BeaconName
  readonly pins: Pins
  /** Compiles what the first connection will run. Best while waiting for the registry. */
  readonly rehearse: () => void
}

/** @throws PilotError USAGE, IDENTITY_…, PORT_IN_USE and whatever else cannot be read or bound. */
export async function openParts(options: OverlayNodeOptions, log: Logger): Promise<NodeParts> {
  const native = options.native === false ? { reason: 'it is switched off' } : loadNative()
  const crypto = 'crypto' in native ? native.crypto : chooseCrypto()
  if (crypto.name === 'portable')
    log.warn({ crypto: crypto.name }, 'node:crypto failed its self-test: using the portable cipher, which is slower')
  const pins = pinsOf(options.pinned)
  const { identity, trust, trustFile } = await loadState(options.identityFile, systemRandom)
  const listen = endpointOption(options.listen, 'listen')
  const registry = registryTargets(options.registry, options.registryFingerprint)
  const { udp, wss } = beaconTargets(options.beacon)
  const transport = transportOf(options, udp.length > 0)
  const beacon = new BeaconName(udp, log, resolveFor(listen))
  await beacon.start()
  const fixedEndpoint = options.endpoint === undefined ? undefined : endpointOption(options.endpoint, 'endpoint')
  const sink: DatagramSink = { onBatch: () => {}, keysOf: () => [] } // until there is a node
  const placesFile = options.identityFile === undefined ? undefined : placesPath(options.identityFile)
  const { places, udpPort } = await loadPlaces(placesFile)
  const onBroken = (error: Error): void =>
    log.error({ reason: error.message }, 'the native port has failed: the one of Node.js does its work')
  const openPort = async (at: Endpoint): Promise<DatagramPort> =>
    'addon' in native ? new NativePort(native.addon, at, sink, onBroken) : await UdpSocket.open(at, sink)
  const socket = await openSocket(listen, udpPort, openPort)
  const primitives = { crypto, crc32, random: systemRandom, timestamp: timestampOf, unixSeconds: unixSecondsOf }
  const core = new OverlayCore(
    {
      ...primitives,
      identity,
      beacon: beacon.endpoint,
      transport,
      fixedEndpoint,
      localEndpoint: socket.local,
      network: ownNetwork(socket.local),
      hostname: options.hostname,
      public: options.public,
      networks: options.networks ?? [],
      tags: options.tags,
      pinnedKeys: pins.keys,
      pinnedNames: pins.names,
      places,
      maxDatagram: maxDatagramTo,
      maxSegment: maxSegmentFor(socket.receiveBufferBytes),
    },
    trust,
    monotonicNow(),
  )
  const keeper = new TrustKeeper(trustFile, core, log)
  const present = (): PlacesFile => ({ udpPort: socket.local.port, places: core.places })
  const placesKeeper = new PlacesKeeper(placesFile, present, log)
  const rehearse = (): void => rehearseOnce(primitives, trust.trusted)
  const noNative = 'reason' in native ? native.reason : undefined
  const state = { identity, keeper, placesKeeper, pins }
  const ways = { registry, wss, transport, beacon }
  return { ...state, ...ways, core, socket, noNative, sink, rehearse }
}

/** Without a beacon by UDP there is one way only. @throws PilotError USAGE. */
function transportOf({ transport = 'auto', beacon }: OverlayNodeOptions, hasUdp: boolean): Transport {
  if (hasUdp) return transport
  if (transport === 'udp')
    throw new PilotError('USAGE', `--beacon ${beacon}: --transport udp needs one that is host:port`)
  return 'tcp'
}

/** If any port is allowed, the last one is best: peers that cannot ask a registry try us there. */
async function openSocket(
  listen: Endpoint,
  lastPort: number | undefined,
  open: (at: Endpoint) => Promise<DatagramPort>,
): Promise<DatagramPort> {
  if (listen.port !== 0 || lastPort === undefined) return await open(listen)
  return await open({ ...listen, port: lastPort }).catch(() => open(listen))
}
