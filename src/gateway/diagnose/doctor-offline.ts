/**
 * `doctor` without a running gateway: the same diagnosis from its own socket, within a few seconds. It registers
 * nothing and only asks the beacon for its own endpoint.
 */
import { randomBytes } from 'node:crypto'
import { PilotError } from '../../base/errors.ts'
import type { Endpoint } from '../../base/types.ts'
import { formatEndpoint, parseEndpoint } from '../../base/types.ts'
import { BeaconClient } from '../../proto/rendezvous/beacon-client.ts'
import { NatProbe } from '../../proto/rendezvous/nat-probe.ts'
import { literal } from '../../runtime/net/addresses.ts'
import { tryRegistry } from '../../runtime/net/ask-registry.ts'
import { checkCompat } from '../../runtime/net/compat-check.ts'
import {
  beaconTargets,
  parseFingerprint,
  registryTargets,
  type RegistryTarget,
  type WssTarget,
} from '../../runtime/net/endpoints.ts'
import { proxyFor, type ProxySettings } from '../../runtime/net/proxy.ts'
import { maxDatagramTo, ownNetwork } from '../../runtime/net/interfaces.ts'
import { createSlot } from '../../proto/node/datagram-slot.ts'
import type { Received } from '../../runtime/net/datagram-port.ts'
import { UdpSocket } from '../../runtime/net/udp-socket.ts'
import { decodeBeaconMessage } from '../../wire/beacon-messages.ts'
import { diagnose } from './doctor.ts'
import type { GatewayOptions } from '../model/options.ts'
import type { DoctorRecord } from '../model/records.ts'

/** @throws PilotError if the UDP socket cannot be bound, or the beacon's name does not resolve. */
export async function checkUp(
  options: Pick<
    GatewayOptions,
    'registry' | 'registryFingerprint' | 'beacon' | 'listen' | 'transport' | 'outboundProxy'
  >,
): Promise<DoctorRecord> {
  const { outboundProxy: proxy, transport = 'auto', registryFingerprint } = options
  const { udp, wss } = beaconTargets(options.beacon)
  const beacon = udp[0] === undefined ? undefined : await literal(udp[0])
  const usesUdp = beacon !== undefined && transport !== 'tcp'
  const [answer, sight, tcp] = await Promise.all([
    askFirst(registryTargets(options.registry, registryFingerprint), proxy),
    lookAtBeacon(endpointOf(options.listen), usesUdp ? beacon : NOWHERE),
    transport === 'udp' ? undefined : tcpWay(wss, registryFingerprint, proxy),
  ])
  const isTcp = tcp !== undefined && tcp.address !== null && !sight.beacon.isAnswering
  return diagnose({
    registry: {
      endpoint: options.registry,
      isAnswering: 'reply' in answer,
      hostnameRefused: undefined,
      fault: 'code' in answer ? answer : undefined,
    },
    ...sight,
    beacon: {
      ...sight.beacon,
      endpoint: options.beacon,
      transport: isTcp ? 'tcp' : 'udp',
      address: isTcp ? tcp.address : null,
      proxy: isTcp ? tcp.proxy : null,
      reason: `${usesUdp ? 'the beacon does not answer over UDP' : 'only TCP is allowed'}${tcp?.fault === undefined ? '' : `; ${tcp.fault}`}`,
    },
    mtu: maxDatagramTo(beacon ?? NOWHERE),
    peers: [],
    nameConflicts: [],
    isRunning: false,
  })
}

/** The first registry that answers, or why the last one does not. */
async function askFirst(
  targets: readonly RegistryTarget[],
  proxy: ProxySettings | undefined,
): ReturnType<typeof tryRegistry> {
  const through = proxy?.isFromEnvironment === true ? undefined : proxy
  for (const target of targets.slice(0, -1)) {
    const answer = await tryRegistry(target, QUESTION, PATIENCE_MS, through)
    if ('reply' in answer) return answer
  }
  return await tryRegistry(targets.at(-1)!, QUESTION, PATIENCE_MS, through)
}

/** The first place that serves nodes without UDP, or why the last one does not. */
async function tcpWay(
  wss: readonly WssTarget[],
  registryFingerprint: string | undefined,
  proxy: ProxySettings | undefined,
): Promise<{ readonly address: string | null; readonly proxy: string | null; readonly fault: string | undefined }> {
  const fingerprint = registryFingerprint === undefined ? undefined : parseFingerprint(registryFingerprint)
  let fault: string | undefined
  for (const target of wss) {
    const shown = proxyFor(proxy, target.address, target.port)?.shown ?? null
    const why = await checkCompat(target, fingerprint, proxy, PATIENCE_MS)
    if (why === undefined) return { address: `wss://${formatEndpoint(target)}`, proxy: shown, fault: undefined }
    fault = `wss://${formatEndpoint(target)}: ${why}`
  }
  return { address: null, proxy: null, fault }
}

async function lookAtBeacon(listen: Endpoint, beacon: Endpoint) {
  const asker = { publicKey: new Uint8Array(32), random: randomBytes } // for node 0 no key is kept
  const client = new BeaconClient(asker)
  let local = listen
  const nat = new NatProbe(beacon, () => ownNetwork(local).ownEndpoints, asker)
  const take = ({ bytes, source }: Received): void => {
    if (source.address !== beacon.address) return
    const message = decodeBeaconMessage(bytes)
    if (typeof message === 'string' || message.kind !== 'discover_reply') return
    const { endpoint, answer } = message
    const [now, isForClient] = [performance.now(), client.expects(answer)]
    if (nat.expects(answer)) nat.handleReply(now, endpoint, answer)
    if (isForClient) client.handleReply(now, endpoint, answer)
  }
  const socket = await UdpSocket.open(listen, { onBatch: (batch) => batch.forEach(take) })
  local = socket.local
  const slot = createSlot()
  const send = (bytes: Uint8Array, endpoint: Endpoint): void => {
    slot.buffer.set(bytes)
    slot.length = bytes.length
    slot.endpoint = endpoint
    socket.send([slot], 1)
  }
  const until = performance.now() + PATIENCE_MS
  nat.start(performance.now(), 0)
  while (performance.now() < until && (nat.busy || client.observed === undefined)) {
    const now = performance.now()
    const discover = client.observed === undefined ? client.pollDiscover(now) : undefined
    if (discover !== undefined) send(discover, beacon)
    nat.handleTimeout(now)
    const question = nat.poll(now)
    if (question !== undefined) send(question.bytes, question.to)
    await new Promise((resolve) => {
      setTimeout(resolve, TURN_MS)
    })
  }
  await socket.close()
  return {
    beacon: {
      observed: client.observed === undefined ? null : formatEndpoint(client.observed),
      isAnswering: client.observed !== undefined,
      unanswered: client.unanswered,
    },
    nat: { mapping: nat.mapping, filtering: nat.filtering },
    udp: formatEndpoint(socket.local),
    sendErrors: socket.sendErrors,
    receiveBufferBytes: socket.receiveBufferBytes,
  }
}

function endpointOf(text: string): Endpoint {
  const endpoint = parseEndpoint(text)
  if (endpoint === undefined) throw new PilotError('USAGE', `${text}: expected host:port`)
  return endpoint
}

/** Without UDP; the port sends nothing there. */
const NOWHERE: Endpoint = { address: '', port: 0 }
/** Every registry answers this to anyone. */
const QUESTION = { type: 'lookup', node_id: 1 }
/** Four requests to a beacon that does not answer take two seconds, a NAT probe as long. */
const PATIENCE_MS = 5_000
const TURN_MS = 20
