/** A fake gateway that only records its calls: the other end for admin and command-line tests. */
import { fileURLToPath } from 'node:url'
import { PilotError } from '../../../src/base/errors.ts'
import type { AdminControl } from '../../../src/gateway/control.ts'
import type { Changes } from '../../../src/gateway/model/events.ts'
import type {
  BenchRecord,
  ConnectionRecord,
  DoctorRecord,
  ExplainRecord,
  PeerRecord,
  RecentRecord,
  SettingRecord,
  StatusRecord,
} from '../../../src/gateway/model/records.ts'

import type { InboxRecord, OutgoingRecord } from '../../../src/services/messages/records.ts'

export const STATUS: StatusRecord = {
  version: '0.1.0',
  pid: 42,
  state: 'ready',
  uptimeMs: 61_000,
  node: { nodeId: 1, address: '0:0000.0000.0001', hostname: 'agent-a', publicKey: 'AAAA' },
  udp: '127.0.0.1:40001',
  admin: '/run/a.sock',
  http: null,
  registry: { endpoint: '127.0.0.1:9000', state: 'registered', since: '2026-11-23T00:00:00.000Z' },
  beacon: {
    endpoint: '127.0.0.1:9001',
    observed: '127.0.0.1:40001',
    transport: 'udp',
    address: '127.0.0.1:9001',
    proxy: null,
    reason: 'UDP is tried first',
    dropped: 0,
  },
  daemon: null,
  nat: { mapping: 'none', filtering: 'port-independent' },
  peers: 1,
  connections: 1,
  mappings: [
    { name: 'agent-b:80', local: '127.77.0.2:80', peer: 'agent-b', remote: '0:0000.0000.0002:80', protocol: 'tcp' },
  ],
  exposures: [{ name: '80', port: 80, target: 'tcp://127.0.0.1:3000', allow: ['trusted'], protocol: 'tcp' }],
  memory: { rssBytes: 90_000_000, heapBytes: 20_000_000 },
  counters: { framesIn: 10 },
}

const RESOLVED = {
  peer: 'agent-b',
  nodeId: 2,
  address: '0:0000.0000.0002',
  hostname: 'agent-b',
  dnsName: 'agent-b.pilot',
  local: '127.77.0.2',
  ports: [{ port: 80, protocol: 'tcp' as const, local: '127.77.0.2:80' }],
}
const TRUSTED = {
  nodeId: 2,
  address: '0:0000.0000.0002',
  hostname: 'agent-b',
  nameVerified: true,
  fingerprint: 'aaaa-bbbb-cccc-dddd-eeee',
  publicKey: 'BBBB',
  since: '2026-11-23T00:00:00.000Z',
}

export const BENCH: BenchRecord = {
  peer: 'agent-b',
  nodeId: 2,
  setUp: { firstMs: 3.1, medianMs: 0.52, count: 5 },
  roundTrip: { bytes: 1_024, medianMs: 0.61, p99Ms: 12.4, count: 1_000 },
  throughput: { bytes: 64_000_000, elapsedMs: 420, bitsPerSecond: 1_219_047_619, complete: true },
  path: { kind: 'punched', endpoint: '203.0.113.7:4000', transport: 'udp', rttMs: 0.4, mtu: 1400 },
}

export const NO_CHANGES: Changes = {
  mapped: [],
  unmapped: [],
  remapped: [],
  exposed: [],
  unexposed: [],
  reexposed: [],
  trust: [],
  sections: [],
}
const CHANGE = { version: 3, changes: { ...NO_CHANGES, mapped: ['agent-b:80'] }, restart: [] }

const PEER: PeerRecord = {
  nodeId: 2,
  address: '0:0000.0000.0002',
  hostname: 'agent-b',
  unverifiedName: null,
  fingerprint: 'aaaa-bbbb-cccc-dddd-eeee',
  trusted: true,
  state: 'connected',
  path: { kind: 'punched', endpoint: '203.0.113.7:4000', transport: 'udp', rttMs: 12.34, mtu: 1400 },
  streams: 3,
  bytesIn: 1_500_000,
  bytesOut: 900,
  lastHeardMs: 250,
  reason: 'punched: both sides keep out what they did not ask for, and opened up at the same time',
  paths: [
    {
      kind: 'punched',
      endpoint: '203.0.113.7:4000',
      transport: 'udp',
      rttMs: 12.34,
      mtu: 1400,
      state: 'used',
      bytesIn: 1_600_000,
      bytesOut: 1_000,
      lossPercent: 0.5,
    },
    {
      kind: 'relay',
      endpoint: '198.51.100.1:9001',
      transport: 'udp',
      rttMs: null,
      mtu: 1231,
      state: 'untried',
      bytesIn: 0,
      bytesOut: 0,
      lossPercent: null,
    },
  ],
}
const OPEN_TICKET = {
  id: '5e1f00aa',
  service: '80',
  port: 80,
  protocol: 'tcp',
  label: 'bob',
  expires: '2026-11-23T00:10:00.000Z',
} as const
const TICKET = {
  ...OPEN_TICKET,
  ticket: 'pgt1_AAAA',
  registry: '127.0.0.1:9000',
  loopback: true,
} as const
const TICKET_USE = {
  peer: '0:0000.0000.0002',
  nodeId: 2,
  publicKey: 'BBBB',
  service: 'web',
  port: 80,
  protocol: 'tcp',
} as const

const DIAGNOSIS: DoctorRecord = {
  healthy: false,
  udp: 'blocked',
  publicEndpoint: null,
  nat: { mapping: 'unknown', filtering: 'unknown' },
  checks: [
    { name: 'registry', state: 'ok', text: 'it answers' },
    { name: 'udp', state: 'fail', text: 'UDP is blocked', hint: 'Allow it.' },
  ],
}

const EXPLANATION: ExplainRecord = {
  target: '',
  peer: 'agent-b',
  port: 80,
  reachable: false,
  code: 'CONNECTION_REFUSED',
  steps: [
    { step: 'name', state: 'ok', text: 'node 2' },
    { step: 'port', state: 'fail', text: 'refused', hint: 'Ask.' },
  ],
}

const ABOUT = {
  id: 7,
  direction: 'map',
  protocol: 'tcp',
  service: 'agent-b:80',
  peer: 'agent-b',
  nodeId: 2,
  local: '127.0.0.1:5000',
  remote: '0:0000.0000.0002:80',
  bytesIn: 10,
  bytesOut: 20,
} as const
const CONNECTION: ConnectionRecord = { ...ABOUT, openedMs: 3_000, state: 'open' }
export const RECENT: RecentRecord = {
  connections: [
    { ...ABOUT, endedAt: '2026-11-23T00:00:01.000Z', durationMs: 900, cause: 'ended', code: null },
    {
      ...ABOUT,
      id: 8,
      direction: 'expose',
      service: '80',
      label: 'bob',
      endedAt: '2026-11-23T00:00:02.000Z',
      durationMs: 30,
      cause: 'failed',
      code: 'TARGET_UNREACHABLE',
    },
  ],
  requests: [],
  traffic: { bytesIn: 10, bytesOut: 20, connections: 1 },
}

const SETTINGS: readonly SettingRecord[] = [
  { key: 'node.registry', value: 'rv.example:9000', origin: { kind: 'file', file: '/etc/gateway.yaml', line: 3 } },
]

const CALLER = {
  direction: 'expose',
  service: '80',
  peer: 'agent-b',
  nodeId: 2,
  address: '0:0000.0000.0002',
  hostname: 'agent-b',
  publicKey: 'BBBB',
  path: 'punched',
  openedMs: 3_000,
} as const

export const OUTGOING: OutgoingRecord = {
  id: '0mf1',
  peer: 'agent-b',
  type: 'text',
  name: null,
  bytes: 5,
  replyTo: null,
  state: 'delivered',
  deliveredBytes: 5,
  attempts: 1,
  createdAt: '2026-11-23T00:00:00.000Z',
  expiresAt: '2026-11-30T00:00:00.000Z',
  error: null,
  nextAttemptMs: null,
}

export const ARRIVED: InboxRecord = {
  id: 'TEXT-20261123-000000.000-000001.json',
  type: 'text',
  from: '0:0000.0000.0002',
  fromName: 'agent-b',
  nodeId: 2,
  bytes: 5,
  receivedAt: '2026-11-23T00:00:01.000Z',
  name: null,
  messageId: 'm1',
  replyTo: '0mf1',
  path: fileURLToPath(new URL('arrived.json', import.meta.url)),
}

type Call = (...args: unknown[]) => unknown

/** Every method by its name, also those of the objects in it: `messages.send`. */
export function methodsOf(object: object, prefix = ''): Map<string, Call> {
  return new Map(
    Object.entries(object).flatMap(([name, value]: [string, unknown]) =>
      typeof value === 'function'
        ? [[`${prefix}${name}`, value as Call] as const]
        : [...methodsOf(value as object, `${prefix}${name}.`)],
    ),
  )
}

/** The same object with every method replaced. */
export function withMethods(object: object, change: (name: string, call: Call) => Call, prefix = ''): object {
  const entries = Object.entries(object).map(([name, value]: [string, unknown]) => [
    name,
    typeof value === 'function'
      ? change(`${prefix}${name}`, value as Call)
      : withMethods(value as object, change, `${prefix}${name}.`),
  ])
  return Object.fromEntries(entries) as object
}

function fakeMessages(told: <T>(name: string, result: T) => () => Promise<T>): AdminControl['messages'] {
  return {
    send: told('messages.send', OUTGOING),
    outgoing: () => [OUTGOING],
    cancel: told('messages.cancel', { ...OUTGOING, state: 'cancelled' as const }),
    inbox: told('messages.inbox', [ARRIVED]),
    find: told('messages.find', ARRIVED),
    remove: told('messages.remove', [ARRIVED]),
    wait: told('messages.wait', { record: ARRIVED, after: ARRIVED.receivedAt }),
  }
}

/** `calls` gets the name and arguments of each call that changes or costs something. */
export function fakeControl(calls: unknown[][], overrides: Partial<AdminControl> = {}): AdminControl {
  const trust =
    (name: string) =>
    (...args: readonly unknown[]) => {
      calls.push([name, ...args.filter((each) => each !== undefined)])
      return Promise.resolve(TRUSTED)
    }
  const told =
    <T>(name: string, result: T) =>
    (...args: readonly unknown[]): Promise<T> => {
      calls.push([name, ...args])
      return Promise.resolve(result)
    }
  const drained = <S>(
    name: string,
    state: S,
    exposure?: string,
  ): Promise<{ state: S; exposure: string | null; connections: number }> => {
    calls.push([name, exposure])
    return Promise.resolve({ state, exposure: exposure ?? null, connections: 1 })
  }
  return {
    status: () => STATUS,
    peers: () => [PEER],
    mappings: () => STATUS.mappings,
    exposures: () => STATUS.exposures,
    connections: () => [CONNECTION],
    recent: () => RECENT,
    ping: (peer, seq, timeoutMs) => {
      calls.push(['ping', peer, seq, timeoutMs])
      return Promise.resolve({ peer, nodeId: 2, seq, rttMs: 1.5 + seq, path: 'direct', endpoint: '127.0.0.1:4000' })
    },
    bench: told('bench', BENCH),
    doctor: () => DIAGNOSIS,
    resolve: told('resolve', { ...RESOLVED, name: 'agent-b' }),
    hosts: () => [{ address: '127.77.0.2', names: ['agent-b.pilot', 'agent-b.pilot.localhost'] }],
    explain: (target) => {
      calls.push(['explain', target])
      return Promise.resolve({ ...EXPLANATION, target })
    },
    whois: (local) => {
      calls.push(['whois', local])
      if (local !== '127.0.0.1:40002') return Promise.reject(new PilotError('NOT_FOUND', `nobody at ${local}`))
      return Promise.resolve({ ...CALLER, local })
    },
    trusted: () => Promise.resolve([TRUSTED]),
    pending: () => Promise.resolve([{ ...TRUSTED, justification: 'please' }]),
    requestTrust: (peer, reason) => told('requestTrust', { peer, state: 'requested' } as const)(peer, reason),
    approveTrust: trust('approveTrust'),
    rejectTrust: trust('rejectTrust'),
    revokeTrust: trust('revokeTrust'),
    invite: told('invite', TICKET),
    tickets: () => [OPEN_TICKET],
    cancelTicket: told('cancelTicket', [OPEN_TICKET]) as unknown as AdminControl['cancelTicket'],
    redeem: told('redeem', TICKET_USE),
    drain: (exposure) => drained('drain', 'draining', exposure),
    resume: (exposure) => drained('resume', 'ready', exposure),
    config: () => ({ version: 3, file: '/etc/gateway.yaml', error: null, mappings: [], exposures: [], trust: [] }),
    settings: () => SETTINGS,
    reload: told('reload', CHANGE),
    diff: told('diff', CHANGE),
    replace: told('replace', CHANGE),
    map: told('map', STATUS.mappings[0]!),
    unmap: told('unmap', STATUS.mappings[0]!),
    expose: told('expose', STATUS.exposures[0]!),
    unexpose: told('unexpose', STATUS.exposures[0]!),
    down: told('down', { state: 'draining', connections: 1 } as const),
    messages: fakeMessages(told),
    ...overrides,
  }
}
