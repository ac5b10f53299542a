/** The parts of our own node, opened but not connected: files read, socket bound, core created. Above: node.ts. */
import { crc32 } from 'node:zlib'
import type { Identity } from '../../crypto/identity.ts'
import { chooseCrypto } from '../../crypto/self-test.ts'
import { OverlayCore } from '../../proto/node/core.ts'
import { monotonicNow, systemRandom, timestampOf, unixSecondsOf } from '../clock.ts'
import { loadState } from '../files/identity.ts'
import { loadPlaces, placesPath } from '../files/places.ts'
import type { Logger } from '../../base/logger.ts'
import { BeaconName, resolveFor } from '../net/beacon-name.ts'
import type { DatagramPort, DatagramSink } from '../net/datagram-port.ts'
import { endpointOption, registryTarget, type RegistryTarget } from '../net/endpoints.ts'
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
  readonly registry: RegistryTarget
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
  const registry = registryTarget(options.registry, options.registryFingerprint)
  const beacon = new BeaconName(endpointOption(options.beacon, 'beacon'), log, resolveFor(listen))
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
  return { identity, core, socket, noNative, sink, keeper, placesKeeper, registry, beacon, pins, rehearse }
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
