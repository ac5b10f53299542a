/**
 * Every kind of path between two gateways, with the kernel's own NATs: which one is found, why, and 16 MB over it with
 * the same digest at both ends. The time to the first byte is printed, and recorded in docs/nat.md.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { DoctorRecord, ExplainRecord } from '../../src/gateway/model/records.ts'
import type { PathKind } from '../../src/runtime/overlay.ts'
import { eventually } from '../e2e/harness.ts'
import { Internet, expectedDigest } from './harness.ts'
import type { NatPair } from './harness.ts'
import type { SiteOptions } from './lab.ts'
import { whyNoLab } from './lab.ts'

const why = whyNoLab()
if (why !== undefined) console.log(`skipped: the NAT laboratory: ${why}`)
const options = { skip: why ?? false, timeout: 60_000 }

let internet: Internet
before(async () => {
  if (why === undefined) internet = await Internet.start()
})
after(async () => {
  await internet?.stop()
})

interface Case {
  readonly name: string
  readonly a: SiteOptions
  readonly b: SiteOptions
  readonly kind: PathKind
  readonly reason: RegExp
}

const CASES: readonly Case[] = [
  { name: 'no NAT', a: {}, b: {}, kind: 'direct', reason: /the peer accepts packets from anywhere/ },
  {
    name: 'one NAT, in front of the dialler',
    a: { boxes: ['cone'] },
    b: {},
    kind: 'direct',
    reason: /the peer accepts packets from anywhere/,
  },
  {
    name: 'one NAT, in front of the listener',
    a: {},
    b: { boxes: ['cone'] },
    kind: 'direct',
    reason: /this node accepts packets from anywhere/,
  },
  {
    name: 'a symmetric NAT and none',
    a: { boxes: ['symmetric'] },
    b: {},
    kind: 'direct',
    reason: /the peer accepts packets from anywhere/,
  },
  {
    name: 'two cone NATs',
    a: { boxes: ['cone'] },
    b: { boxes: ['cone'] },
    kind: 'punched',
    reason: /opened at the same time/,
  },
  {
    name: 'double NAT and a cone NAT',
    a: { boxes: ['cone', 'cone'] },
    b: { boxes: ['cone'] },
    kind: 'punched',
    reason: /opened at the same time/,
  },
  {
    name: 'a firewall that drops unsolicited traffic',
    a: {},
    b: { boxes: ['firewall'] },
    kind: 'direct',
    reason: /this node accepts packets from anywhere/,
  },
  {
    name: 'two such firewalls',
    a: { boxes: ['firewall'] },
    b: { boxes: ['firewall'] },
    kind: 'punched',
    reason: /opened at the same time/,
  },
  {
    name: 'a cone NAT and a symmetric one',
    a: { boxes: ['cone'] },
    b: { boxes: ['symmetric'] },
    kind: 'relay',
    reason: /the peer's NAT is symmetric, and ours drops unsolicited packets/,
  },
  {
    name: 'two symmetric NATs',
    a: { boxes: ['symmetric'] },
    b: { boxes: ['symmetric'] },
    kind: 'relay',
    reason: /both NATs are symmetric/,
  },
]

for (const { name, a, b, kind, reason } of CASES) {
  test(`${name}: 16 MB arrive intact, and the path is ${kind}`, options, async () => {
    const pair = await trustedPair(a, b)
    await transferWhole(pair, name)
    await settles(pair, kind)
    const peer = (await pair.a.peer(pair.b.name))!
    assert.match(peer.reason ?? '', reason)
    assert.equal(internet.lab.fragmentsCreated, 0)
    await pair.stop()
  })
}

test('UDP between the two is dropped: 16 MB arrive by relay, and the reason is shown', options, async () => {
  const heal: Array<() => void> = []
  const pair = await internet.pair({}, {}, {}, ({ outside: x }, { outside: y }) => {
    heal.push(internet.lab.drop('-p', 'udp', '-s', x, '-d', y), internet.lab.drop('-p', 'udp', '-s', y, '-d', x))
  })
  await pair.trusted()
  await transferWhole(pair, 'UDP to the peer blocked')
  await settles(pair, 'relay')
  assert.match((await pair.a.peer(pair.b.name))?.reason ?? '', /other paths are being tried|no answer from/)
  await eventually(
    'the final reason',
    async () =>
      /no answer from .*: UDP is dropped on the path/.test((await pair.a.peer(pair.b.name))?.reason ?? '') || undefined,
  )
  for (const undo of heal) undo()
  await pair.stop()
})

test(
  'UDP over IPv4 between the two is dropped, and both have IPv6: 16 MB arrive directly, over IPv6',
  options,
  async () => {
    const undo: Array<() => void> = []
    const pair = await internet.pair({ ipv6: true }, { ipv6: true }, {}, ({ outside: x }, { outside: y }) => {
      undo.push(internet.lab.drop('-p', 'udp', '-s', x, '-d', y), internet.lab.drop('-p', 'udp', '-s', y, '-d', x))
    })
    await pair.trusted()
    await transferWhole(pair, 'IPv6')
    await settles(pair, 'direct')
    assert.match((await pair.a.peer(pair.b.name))!.path!.endpoint, /^\[2001:db8:/)
    assert.equal(internet.lab.fragmentsCreated, 0)
    for (const one of undo) one()
    await pair.stop()
  },
)

test(
  'all UDP is dropped: clients are reset with a code that says so, and doctor says what to do',
  options,
  async () => {
    const blocked: Array<() => void> = []
    const pair = await internet.pair({}, {}, {}, (...sites) => {
      for (const { outside } of sites) blocked.push(internet.lab.drop('-p', 'udp', '-s', outside))
    })
    await pair.trusted()
    const result = await pair.fetch(20_000)
    assert.equal(result.error, 'ECONNRESET')
    const line = await pair.a.program.log('the reset', (entry) => entry.msg.startsWith('a client was reset'))
    assert.equal(line.code, 'UDP_BLOCKED')
    const record = await eventually('a diagnosis', async () => {
      const now = await pair.a.ask<DoctorRecord>('doctor')
      return now.udp === 'blocked' ? now : undefined
    })
    assert.equal(record.healthy, false)
    const check = record.checks.find(({ name }) => name === 'udp')!
    assert.match(check.text, /UDP is blocked, or the beacon is down: .* while the registry answers over TCP/)
    assert.match(check.hint ?? '', /Allow outgoing UDP/)
    const explained = await pair.a.json<ExplainRecord>('doctor', `${pair.b.name}:80`)
    assert.equal(explained.code, 'UDP_BLOCKED')
    assert.deepEqual(
      explained.steps.map(({ step, state }) => `${step} ${state}`),
      ['name ok', 'address ok', 'trust ok', 'path fail', 'port skipped'],
    )
    for (const undo of blocked) undo()
    await pair.stop()
  },
)

test('path=direct refuses the relay with a code and the reason, and waits for a punched path', options, async () => {
  const symmetric: SiteOptions = { boxes: ['symmetric'] }
  const strict = await trustedPair(symmetric, symmetric, ',path=direct')
  assert.equal((await strict.fetch()).error, 'ECONNRESET')
  const line = await strict.a.program.log('the reset', (entry) => entry.msg.startsWith('a client was reset'))
  assert.equal(line.code, 'RELAY_REFUSED')
  assert.match(line.msg, /only the relay works \(relay: both NATs are symmetric\)/)
  await strict.stop()
  const cone: SiteOptions = { boxes: ['cone'] }
  const punched = await trustedPair(cone, cone, ',path=direct')
  const result = await punched.fetch()
  assert.equal(result.error, null, result.error === null ? '' : await stateOf(punched))
  assert.equal(result.sha256, expectedDigest(punched.bytes))
  const relay = (await punched.a.peer(punched.b.name))!.paths.find((path) => path.kind === 'relay')
  assert.ok((relay?.bytesOut ?? 0) < 10_000, `${relay?.bytesOut} bytes went by relay`)
  await punched.stop()
})

async function trustedPair(a: SiteOptions, b: SiteOptions, mapOptions = ''): Promise<NatPair> {
  const pair = await internet.pair(a, b, { mapOptions })
  await pair.trusted()
  for (const gateway of [pair.a, pair.b]) {
    await eventually(
      `${gateway.name} knows its NAT`,
      async () =>
        (await gateway.ask<{ nat: { mapping: string; filtering: string } }>('status')).nat.mapping !== 'unknown' ||
        undefined,
    )
  }
  return pair
}

async function transferWhole(pair: NatPair, name: string): Promise<void> {
  const cold = await pair.fetch()
  assert.equal(cold.error, null, cold.error === null ? '' : await stateOf(pair))
  assert.equal(cold.bytes, pair.bytes + 1)
  assert.equal(cold.sha256, expectedDigest(pair.bytes))
  console.log(
    `measured: ${name}: first byte ${cold.firstByteMs.toFixed(0)} ms after the client's connect, tunnel set-up included; 16 MB in ${cold.totalMs.toFixed(0)} ms`,
  )
}

/** For the message of a failed transfer: what each side knows about the other, and the end of both logs. */
async function stateOf({ a, b }: NatPair): Promise<string> {
  const records = await Promise.all([a.peer(b.name), b.peer(a.name)])
  const logs = [a, b].flatMap(({ name, program }) => [name, ...program.logs.slice(-8)])
  return [...records, ...logs].map((entry) => JSON.stringify(entry)).join('\n')
}

/** Both sides report the same kind, and still do a moment later. */
async function settles(pair: NatPair, kind: PathKind): Promise<void> {
  await eventually(
    `both sides: ${kind}`,
    async () => {
      const [a, b] = await Promise.all([pair.a.peer(pair.b.name), pair.b.peer(pair.a.name)])
      return a?.path?.kind === kind && b?.path?.kind === kind ? true : undefined
    },
    10_000,
  )
}
