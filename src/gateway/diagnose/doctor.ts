/**
 * `doctor`: what keeps this gateway from its peers, judged from what the node has seen so far; it sends nothing. A
 * failed check says what to do. Pure except for the interface MTU, which is passed in, so tests can give it any state.
 */
import { ERRORS, type ErrorCode } from '../../base/errors.ts'
import type { NameConflict, Overlay } from '../../runtime/overlay.ts'
import type { DoctorCheck, DoctorRecord, NatRecord, PeerRecord } from '../model/records.ts'

/** The input of a diagnosis. */
export interface Symptoms {
  readonly registry: {
    readonly endpoint: string
    readonly isAnswering: boolean
    readonly hostnameRefused: string | undefined
    /** Why it does not answer; undefined: no attempt has failed yet. */
    readonly fault: { readonly code: ErrorCode; readonly reason: string } | undefined
  }
  readonly nameConflicts: readonly NameConflict[]
  readonly beacon: {
    readonly endpoint: string
    readonly observed: string | null
    readonly isAnswering: boolean
    readonly unanswered: number
  }
  readonly nat: NatRecord
  readonly udp: string // where our socket is bound
  readonly mtu: number // UDP payload towards the beacon in one piece, bytes
  readonly receiveBufferBytes: number
  readonly sendErrors: number
  readonly noNative?: string | undefined // why the native port is not used; undefined: it is
  readonly peers: readonly PeerRecord[]
  readonly isRunning: boolean // false: the checks were made without a gateway
}

/** From what the node has seen so far. With a daemon, only the daemon itself can be judged. */
export function diagnoseOverlay({ status, health, peers }: Pick<Overlay, 'status' | 'health' | 'peers'>): DoctorRecord {
  const { registry, beacon, nat, udp, daemon } = status
  if (health === null || registry === null || beacon === null || nat === null || udp === null) {
    const check =
      daemon?.state === 'connected'
        ? {
            name: 'daemon',
            state: 'ok' as const,
            text: `the daemon at ${daemon.socket} answers; NAT and paths are up to the daemon`,
          }
        : {
            name: 'daemon',
            state: 'fail' as const,
            text: `the daemon at ${daemon?.socket ?? 'its socket'} does not answer`,
            hint: 'Start it again; mappings and exposures are then restored.',
          }
    return {
      healthy: check.state === 'ok',
      udp: 'unknown',
      publicEndpoint: null,
      nat: { mapping: 'unknown', filtering: 'unknown' },
      checks: [check],
    }
  }
  return diagnose({
    registry: {
      endpoint: registry.endpoint,
      isAnswering: registry.state === 'registered',
      hostnameRefused: health.hostnameRefused,
      fault: registry.code === undefined ? undefined : { code: registry.code, reason: registry.reason ?? '' },
    },
    nameConflicts: health.nameConflicts,
    beacon: { ...beacon, ...health.beacon },
    nat,
    udp,
    mtu: health.mtu,
    receiveBufferBytes: health.receiveBufferBytes,
    sendErrors: health.sendErrors,
    noNative: health.noNative,
    peers,
    isRunning: true,
  })
}

export function diagnose(symptoms: Symptoms): DoctorRecord {
  const udp = udpState(symptoms)
  const checks = [
    ...(symptoms.isRunning
      ? []
      : [
          {
            name: 'gateway',
            state: 'warn' as const,
            text: 'no gateway is running here; these checks were made without one',
            hint: 'Start it with `pilotgate up`.',
          },
        ]),
    registryCheck(symptoms),
    udpCheck(symptoms, udp),
    natCheck(symptoms),
    ...localChecks(symptoms),
    ...symptoms.nameConflicts.map(nameCheck),
    ...symptoms.peers.flatMap(peerCheck),
  ]
  return {
    healthy: checks.every(({ state }) => state !== 'fail'),
    udp,
    publicEndpoint: symptoms.beacon.observed,
    nat: symptoms.nat,
    checks,
  }
}

/** One sentence about a NAT, in the terms of RFC 4787 and in common ones. */
export function describeNat({ mapping, filtering }: NatRecord): string {
  const filter =
    filtering === 'unknown'
      ? ''
      : filtering === 'port-independent'
        ? ' It admits packets from any address that we have sent to, or from anywhere.'
        : ' It admits packets only from endpoints that we have sent to.'
  switch (mapping) {
    case 'none':
      return filtering === 'address-and-port-dependent'
        ? 'No NAT, but a firewall that admits only replies.'
        : filtering === 'port-independent'
          ? 'No NAT and no firewall: peers can reach us directly.'
          : 'No NAT.'
    case 'endpoint-independent':
      return `A NAT that keeps our port for every destination (endpoint-independent mapping, "cone"): hole punching works.${filter}`
    case 'address-dependent':
      return `A NAT that uses a different port for every address (address-dependent mapping, "symmetric"): hole punching works with some peers only.${filter}`
    case 'address-and-port-dependent':
      return `A NAT that uses a different port for every destination ("symmetric"): hole punching works only with peers whose filter is not by port.${filter}`
    case 'unknown':
      return 'Unknown: the beacon is a different implementation, or its second port cannot be reached.'
  }
}

function udpState({ registry, beacon }: Symptoms): DoctorRecord['udp'] {
  if (beacon.isAnswering) return 'passes'
  return registry.isAnswering && beacon.unanswered >= BLOCKED_AFTER ? 'blocked' : 'unknown'
}

function registryCheck({ registry }: Symptoms): DoctorCheck {
  const { endpoint, isAnswering, hostnameRefused, fault } = registry
  if (hostnameRefused !== undefined)
    return {
      name: 'registry',
      state: 'warn',
      text: `${endpoint} refuses our hostname: ${hostnameRefused}. This node runs without a hostname and retries every minute`,
      hint: 'Choose another hostname, or ask its owner to give it up.',
    }
  if (isAnswering) return { name: 'registry', state: 'ok', text: `${endpoint} answers` }
  if (fault !== undefined && fault.code !== 'REGISTRY_UNREACHABLE')
    return {
      name: 'registry',
      state: 'fail',
      code: fault.code,
      text: `${endpoint}: ${fault.reason}`,
      hint: ERRORS[fault.code].hint,
    }
  return {
    name: 'registry',
    state: 'fail',
    code: 'REGISTRY_UNREACHABLE',
    text: `${endpoint} does not answer over TCP${fault === undefined ? '' : ` (${fault.reason})`}`,
    hint: 'Is the address correct, and is the rendezvous running? Does a firewall drop TCP to it?',
  }
}

function udpCheck({ registry, beacon }: Symptoms, udp: DoctorRecord['udp']): DoctorCheck {
  if (udp === 'passes')
    return {
      name: 'udp',
      state: 'ok',
      text: `UDP works: the beacon ${beacon.endpoint} sees us at ${beacon.observed ?? 'an endpoint it has not reported'}`,
    }
  const questions = `${beacon.unanswered} question${beacon.unanswered === 1 ? '' : 's'}`
  if (udp === 'blocked') {
    return {
      name: 'udp',
      state: 'fail',
      text: `UDP is blocked, or the beacon is down: ${beacon.endpoint} has not answered ${questions}, while the registry answers over TCP. Without UDP there is no tunnel to any peer`,
      hint: `Allow outgoing UDP to ${beacon.endpoint} and its replies, preferably to any address: peers are reached over UDP too.`,
    }
  }
  if (!registry.isAnswering)
    return {
      name: 'udp',
      state: 'fail',
      text: `neither the registry nor the beacon ${beacon.endpoint} answers`,
      hint: 'Is this machine online?',
    }
  return {
    name: 'udp',
    state: 'warn',
    text: `the beacon ${beacon.endpoint} has not answered yet (${questions})`,
    hint: 'Try again in a moment.',
  }
}

function natCheck({ nat, beacon }: Symptoms): DoctorCheck {
  const text = describeNat(nat)
  if (!beacon.isAnswering)
    return {
      name: 'nat',
      state: 'warn',
      text: 'The kind of NAT cannot be determined while the beacon does not answer.',
    }
  const isHard = nat.mapping === 'address-and-port-dependent' || nat.mapping === 'address-dependent'
  if (!isHard) return { name: 'nat', state: 'ok', text }
  return {
    name: 'nat',
    state: 'warn',
    text,
    hint: 'For a direct path to every peer, forward one UDP port to this machine and name it with --listen and --endpoint.',
  }
}

function localChecks({ mtu, udp, receiveBufferBytes, sendErrors, noNative, isRunning }: Symptoms): DoctorCheck[] {
  const checks: DoctorCheck[] = []
  if (mtu < SMALLEST_DATAGRAM) {
    checks.push({
      name: 'mtu',
      state: 'fail',
      text: `the interface towards the beacon carries ${mtu} bytes of UDP without fragmentation; ${SMALLEST_DATAGRAM} are needed`,
      hint: 'Raise the MTU of that interface to 1280 or more.',
    })
  } else
    checks.push({
      name: 'mtu',
      state: 'ok',
      text: `the interface towards the beacon carries ${mtu} bytes of UDP without fragmentation`,
    })
  if (receiveBufferBytes < SMALL_BUFFER) {
    checks.push({
      name: 'buffer',
      state: 'warn',
      text: `the system gives ${udp} a receive buffer of ${Math.round(receiveBufferBytes / 1024)} KiB`,
      hint: 'For full speed: sysctl -w net.core.rmem_max=8388608',
    })
  }
  if (isRunning)
    checks.push({
      name: 'port',
      state: 'ok',
      text:
        noNative === undefined
          ? 'datagrams go through the native port'
          : `datagrams go through Node.js, which is slower on fast networks; no native port: ${noNative}`,
    })
  if (sendErrors > 0)
    checks.push({
      name: 'send',
      state: 'warn',
      text: `the system refused ${sendErrors} datagrams`,
      hint: 'A local firewall drops them, or a route is missing.',
    })
  return checks
}

function nameCheck({ hostname, fingerprints, other }: NameConflict): DoctorCheck {
  const here = fingerprints.join(' and ')
  return {
    name: 'name',
    state: 'warn',
    text:
      other === undefined
        ? `${hostname} names no peer: several trusted keys have this name (${here})`
        : `${hostname} means the key ${here} here, but the registry gives this name to node ${other.nodeId} with the key ${other.fingerprint}`,
    hint: other === undefined ? 'Revoke the trust of all but one of them, by node id.' : ERRORS.KEY_CHANGED.hint,
  }
}

function peerCheck(peer: PeerRecord): DoctorCheck[] {
  const name = peer.hostname ?? peer.address
  if (peer.state === 'unreachable')
    return [
      {
        name: 'peer',
        state: 'warn',
        text: `${name} does not answer`,
        hint: `\`pilotgate doctor ${name}\` shows which step fails.`,
      },
    ]
  if (peer.path?.kind === 'relay')
    return [
      {
        name: 'peer',
        state: 'warn',
        text: `${name} is reached by relay: ${(peer.reason ?? '').replace(/^relay: /, '')}`,
      },
    ]
  return []
}

/** Unanswered requests to the beacon before UDP counts as blocked: the first five are sent within seven seconds. */
const BLOCKED_AFTER = 4
const SMALLEST_DATAGRAM = 1_231 // the base payload with all headers
const SMALL_BUFFER = 1_048_576
