/** What doctor reports in each situation: one problem at a time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diagnose } from '../../../../src/gateway/diagnose/doctor.ts'
import type { Symptoms } from '../../../../src/gateway/diagnose/doctor.ts'
import type { DoctorCheck, PeerRecord } from '../../../../src/gateway/model/records.ts'

const WELL: Symptoms = {
  registry: { endpoint: 'rv.example:9000', isAnswering: true, hostnameRefused: undefined, fault: undefined },
  beacon: {
    endpoint: 'rv.example:9001',
    observed: '203.0.113.5:4000',
    isAnswering: true,
    unanswered: 0,
    transport: 'udp',
    address: '203.0.113.9:9001',
    proxy: null,
    reason: 'UDP is tried first',
  },
  nameConflicts: [],
  nat: { mapping: 'endpoint-independent', filtering: 'address-and-port-dependent' },
  udp: '0.0.0.0:4000',
  mtu: 1_472,
  receiveBufferBytes: 4_194_304,
  sendErrors: 0,
  peers: [],
  isRunning: true,
}

const PEER: PeerRecord = {
  nodeId: 2,
  address: '0:0000.0000.0002',
  hostname: 'agent-b',
  unverifiedName: null,
  fingerprint: null,
  trusted: true,
  state: 'connected',
  path: { kind: 'relay', endpoint: 'x', transport: 'udp', rttMs: 1, mtu: 1_231 },
  streams: 0,
  bytesIn: 0,
  bytesOut: 0,
  lastHeardMs: 1,
  reason: 'relay: both NATs are symmetric',
  paths: [],
}

function check(symptoms: Partial<Symptoms>, name: string): DoctorCheck | undefined {
  return diagnose({ ...WELL, ...symptoms }).checks.find((one) => one.name === name)
}

test('a healthy gateway gets no warning, and the public endpoint and the NAT are reported', () => {
  const record = diagnose(WELL)
  assert.equal(record.healthy, true)
  assert.deepEqual([record.udp, record.publicEndpoint], ['passes', '203.0.113.5:4000'])
  assert.ok(record.checks.every(({ state }) => state === 'ok'))
  assert.match(check({}, 'nat')!.text, /cone.*hole punching works.*admits packets only from endpoints/)
})

test('blocked UDP is distinguished from an offline machine, and from a beacon queried a moment ago', () => {
  const silent = { ...WELL.beacon, isAnswering: false, observed: null, unanswered: 9 }
  const blocked = diagnose({ ...WELL, beacon: silent })
  assert.deepEqual([blocked.healthy, blocked.udp], [false, 'blocked'])
  assert.match(
    check({ beacon: silent }, 'udp')!.text,
    /rv\.example:9001 has not answered 9 questions, while the registry answers over TCP/,
  )
  assert.match(check({ beacon: silent }, 'udp')!.hint!, /Allow outgoing UDP to rv\.example:9001/)
  const offline = { beacon: silent, registry: { ...WELL.registry, isAnswering: false } }
  assert.equal(diagnose({ ...WELL, ...offline }).udp, 'unknown')
  assert.match(check(offline, 'udp')!.hint!, /online/)
  assert.equal(check({ beacon: { ...silent, unanswered: 1 } }, 'udp')!.state, 'warn')
})

test('an unreachable registry, or one that refuses our name, fails', () => {
  assert.equal(check({ registry: { ...WELL.registry, isAnswering: false } }, 'registry')!.state, 'fail')
  assert.match(
    check({ registry: { ...WELL.registry, hostnameRefused: 'taken' } }, 'registry')!.text,
    /refuses our hostname: taken/,
  )
})

test('a certificate problem, a wrong pin and a mismatch of TLS have codes and hints of their own', () => {
  for (const [code, hint] of [
    ['REGISTRY_UNTRUSTED', /NODE_EXTRA_CA_CERTS|--registry-fingerprint/],
    ['REGISTRY_PIN_MISMATCH', /someone is in between/],
    ['REGISTRY_TLS_MISMATCH', /tls:\/\//],
    ['REGISTRY_UNREACHABLE', /firewall/],
  ] as const) {
    const fault = { code, reason: 'what the log says' }
    const found = check({ registry: { ...WELL.registry, isAnswering: false, fault } }, 'registry')!
    assert.deepEqual([found.state, found.code], ['fail', code])
    assert.match(found.text, /what the log says/)
    assert.match(found.hint!, hint)
  }
})

test('symmetric NATs get advice, and a small MTU, a small buffer and refused datagrams are found', () => {
  const hard = check({ nat: { mapping: 'address-and-port-dependent', filtering: 'port-independent' } }, 'nat')!
  assert.equal(hard.state, 'warn')
  assert.match(hard.hint!, /forward one UDP port.*--endpoint/)
  assert.equal(check({ mtu: 1_000 }, 'mtu')!.state, 'fail')
  assert.match(check({ receiveBufferBytes: 212_992 }, 'buffer')!.hint!, /rmem_max/)
  assert.match(check({ sendErrors: 3 }, 'send')!.text, /3 datagrams/)
})

test('peers that do not answer or are reached only by relay are named', () => {
  assert.match(check({ peers: [PEER] }, 'peer')!.text, /^agent-b is reached by relay: both NATs are symmetric$/)
  assert.match(
    check({ peers: [{ ...PEER, state: 'unreachable', path: null }] }, 'peer')!.hint!,
    /pilotgate doctor agent-b/,
  )
  assert.equal(diagnose({ ...WELL, peers: [PEER] }).healthy, true)
})

test('without a gateway the report says that the checks were made without one', () => {
  assert.equal(check({ isRunning: false }, 'gateway')!.state, 'warn')
})

test('names with an unexpected meaning are warnings, with the fingerprints to compare', () => {
  const [one, two] = ['aaaa-bbbb-cccc-dddd-eeee', '1111-2222-3333-4444-5555']
  const taken = check(
    { nameConflicts: [{ hostname: 'bob', fingerprints: [one], other: { nodeId: 9, fingerprint: two } }] },
    'name',
  )
  assert.equal(taken?.state, 'warn')
  assert.match(taken.text, /bob means the key aaaa-.* node 9 with the key 1111-/)
  assert.match(taken.hint ?? '', /trust revoke/)
  const shared = check({ nameConflicts: [{ hostname: 'bob', fingerprints: [one, two] }] }, 'name')
  assert.match(shared?.text ?? '', /bob names no peer: .*aaaa-.* and 1111-/)
})
