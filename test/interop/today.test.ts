/**
 * What the reference daemon of today does (docs/quirks.md, the rows of 1.18), packet by packet, and what our gateway
 * makes of it. A row here that fails with a newer wheel is news about the daemon. The scenarios that both releases share
 * are in go-peer.test.ts.
 */
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { DoctorRecord } from '../../src/gateway/model/records.ts'
import { FLAG_ACK, FLAG_FIN, FLAG_RST, FLAG_SYN, PROTOCOL_CONTROL, PROTOCOL_STREAM } from '../../src/wire/packet.ts'
import { formatTrustFile, parseTrustFile } from '../../src/wire/trust-file.ts'
import { encodeDataFrame } from '../../src/wire/data-frame.ts'
import { Gateway, Rendezvous, Stage, eventually, pause } from '../e2e/harness.ts'
import type { Address } from '../e2e/harness.ts'
import { findProgram } from '../e2e/program.ts'
import { echo, noise } from '../e2e/servers.ts'
import { askRegistry } from './ask-registry.ts'
import { packetsOut, refusingProxy } from './containment.ts'
import type { RefusingProxy } from './containment.ts'
import { GoNode, noToday } from './go.ts'
import { Hand } from './hand.ts'
import type { Heard } from './hand.ts'

const SEGMENT = 1_152

describe('a daemon of today, packet by packet', { skip: noToday, concurrency: false }, () => {
  let stage: Stage
  let rendezvous: Rendezvous
  let go: GoNode
  let hand: Hand

  before(async () => {
    stage = await Stage.open()
    const proxy = await refusingProxy(stage)
    rendezvous = await Rendezvous.start(stage)
    go = await GoNode.start(stage, { name: 'go-a', rendezvous, public: true, today: proxy })
    hand = await Hand.start(rendezvous, 'hand')
    hand.knock(go.nodeId, go.udp)
    await hand.until('its key', ({ magic }) => magic === 'PILA')
    hand.ping(Buffer.alloc(4))
    await hand.until('an answer', isPong)
  })
  after(async () => {
    hand?.stop()
    await stage?.close()
  })

  const isStream = (port: number) => (one: Heard) =>
    one.header?.protocol === PROTOCOL_STREAM && one.header.dstPort === port
  const dial = async (port: number, window: number): Promise<void> => {
    hand.send({ flags: FLAG_SYN, srcPort: port, dstPort: 7, seq: 1_000, window })
    await hand.until('SYN-ACK', (one) => isStream(port)(one) && one.header!.flags === (FLAG_SYN | FLAG_ACK))
  }
  /** What came on a stream since, after time for more. */
  const rest = async (port: number, since: number, ms = 400): Promise<Heard[]> => {
    await pause(ms)
    return hand.heard.slice(since).filter(isStream(port))
  }

  test('T12: it answers a ping of one byte, not one of none', async () => {
    const since = hand.heard.length
    hand.ping(Buffer.alloc(0), { seq: 11 })
    hand.ping(Buffer.alloc(1), { seq: 12 })
    await hand.until('the answer to the second', isPong, 5_000, since)
    await pause(300)
    assert.deepEqual(
      hand.heard.slice(since).map(({ header, payload }) => [header?.seq, payload.length]),
      [[12, 1]],
    )
  })

  test('T14: it answers a ping for node 0 in its own name', async () => {
    const since = hand.heard.length
    hand.ping(Buffer.alloc(4), { dstNode: 0, seq: 21 })
    const { header } = await hand.until('the answer', isPong, 5_000, since)
    assert.deepEqual([header!.srcNode, header!.seq], [go.nodeId, 21])
  })

  test('T13: it answers each PILK with its PILA, and a PILA whose key it knows not at all', async () => {
    let since = hand.heard.length
    for (let i = 0; i < 3; i++) hand.sendKeyRequest()
    await pause(300)
    assert.deepEqual(magics(hand.heard.slice(since)), ['PILA', 'PILA', 'PILA'])
    since = hand.heard.length
    hand.ping(Buffer.alloc(4))
    await hand.until('an answer', isPong, 5_000, since)
    since = hand.heard.length
    for (let i = 0; i < 3; i++) {
      hand.sendAuth()
      await pause(300)
    }
    assert.deepEqual(magics(hand.heard.slice(since)), [])
  })

  test('T13: it asks with PILK, along both ways, once it has dropped its half of a session', async () => {
    const since = hand.heard.length
    await go.ctl('prefer-direct', String(hand.nodeId))
    const isRequest = ({ magic }: Heard): boolean => magic === 'PILK'
    await hand.until('PILK directly', (one) => isRequest(one) && !one.byRelay, 15_000, since)
    await hand.until('PILK by relay', (one) => isRequest(one) && one.byRelay, 15_000, since)
    hand.sendAuth()
    await hand.until('its key', ({ magic }) => magic === 'PILA', 5_000, hand.heard.length)
    const answered = hand.heard.length
    hand.ping(Buffer.alloc(4))
    await hand.until('an answer', isPong, 5_000, answered)
  })

  test('T15: it takes a new key along either way, and comes back from the relay', async () => {
    for (const relays of [true, false, true, false]) {
      hand.relays = relays
      hand.forget()
      let since = hand.heard.length
      hand.sendAuth()
      await hand.until('its PILA', ({ magic }) => magic === 'PILA', 5_000, since)
      await eventually('a direct answer again', async () => {
        since = hand.heard.length
        hand.ping(Buffer.alloc(4))
        return (await hand.until('an answer', isPong, 5_000, since)).byRelay ? undefined : true
      })
    }
  })

  test('Q25: a window counts segments of 1,152 bytes, 0 closes it, and its opening is used at once', async () => {
    const port = 50_000
    await dial(port, 4)
    let since = hand.heard.length
    const numbers = { srcPort: port, dstPort: 7, seq: 1_001 }
    for (let i = 0; i < 10; i++)
      hand.send({ flags: FLAG_ACK, ...numbers, seq: 1_001 + i * SEGMENT, ack: 1, window: 4 }, Buffer.alloc(SEGMENT, i))
    const data = (all: readonly Heard[]): number[] =>
      all.flatMap(({ header, payload }) => (payload.length > 0 ? [header!.seq] : []))
    assert.deepEqual(data(await rest(port, since)), [1, 1 + SEGMENT, 1 + 2 * SEGMENT, 1 + 3 * SEGMENT])
    since = hand.heard.length
    const seq = 1_001 + 10 * SEGMENT
    hand.send({ flags: FLAG_ACK, ...numbers, seq, ack: 1 + 4 * SEGMENT, window: 0 })
    assert.deepEqual(data(await rest(port, since, 1_200)), [])
    since = hand.heard.length
    hand.send({ flags: FLAG_ACK, ...numbers, seq, ack: 1 + 4 * SEGMENT, window: 3 })
    assert.equal(data(await rest(port, since)).length, 3)
    hand.send({ flags: FLAG_RST, ...numbers })
  })

  test('Q8: it keeps 128 segments out of order, and Q7: advertises 512', async () => {
    const port = 50_001
    await dial(port, 512)
    const since = hand.heard.length
    for (let i = 1; i <= 300; i++) {
      hand.send(
        { flags: FLAG_ACK, srcPort: port, dstPort: 7, seq: 1_001 + i * 100, ack: 1, window: 512 },
        Buffer.alloc(100),
      )
      if (i % 20 === 0) await pause(2)
    }
    const last = (await rest(port, since)).findLast(({ payload }) => payload.length === 13)!
    const sack = Buffer.from(last.payload)
    assert.deepEqual(
      [last.header!.window, sack.readUInt32BE(5), (sack.readUInt32BE(9) - 1_101) / 100],
      [512, 1_101, 128],
    )
    hand.send({ flags: FLAG_RST, srcPort: port, dstPort: 7 })
  })

  test('Q27: a FIN waits for what is before it, and is answered once; FIN|ACK never is', async () => {
    const port = 50_002
    await dial(port, 512)
    let since = hand.heard.length
    hand.send({ flags: FLAG_FIN, srcPort: port, dstPort: 7, seq: 1_006 })
    const early = await rest(port, since)
    assert.ok(early.every(({ header }) => (header!.flags & FLAG_FIN) === 0))
    since = hand.heard.length
    hand.send({ flags: FLAG_ACK, srcPort: port, dstPort: 7, seq: 1_001, ack: 1, window: 512 }, Buffer.from('12345'))
    const late = await rest(port, since)
    assert.deepEqual(
      late.filter(({ header }) => (header!.flags & FLAG_FIN) !== 0).map(({ header }) => [header!.flags, header!.ack]),
      [[FLAG_FIN | FLAG_ACK, 1_007]],
    )
    since = hand.heard.length
    hand.send({ flags: FLAG_FIN | FLAG_ACK, srcPort: port, dstPort: 7, seq: 1_006, ack: 2 })
    assert.deepEqual(await rest(port, since), [])
  })

  test('Q26: it answers 64 SYNs at once', async () => {
    await pause(7_000) // its bucket fills
    const since = hand.heard.length
    for (let i = 0; i < 80; i++)
      hand.send({ flags: FLAG_SYN, srcPort: 51_000 + i, dstPort: 7, seq: 1_000, window: 512 })
    await pause(500)
    const answered = hand.heard.slice(since).filter(({ header }) => header?.flags === (FLAG_SYN | FLAG_ACK)).length
    assert.ok(answered >= 64 && answered <= 70, `${answered}`)
    for (let i = 0; i < 80; i++) hand.send({ flags: FLAG_RST, srcPort: 51_000 + i, dstPort: 7 })
  })

  const notLong = process.env['PILOTGATE_LONG'] === undefined && 'over a minute: node scripts/test.mjs interop-long'
  test(
    'T16: one frame far behind ends a session that is older than a minute, not a younger one',
    { skip: notLong },
    async () => {
      const other = await Hand.start(rendezvous, 'other-hand')
      stage.defer(async () => other.stop())
      const asked = (since: number): boolean => other.heard.slice(since).some(({ magic }) => magic === 'PILK')
      const overtaken = async (): Promise<number> => {
        other.counter += 400
        other.ping(Buffer.alloc(4))
        await pause(300)
        const since = other.heard.length
        const newest = other.counter
        other.counter -= 300
        other.ping(Buffer.alloc(4))
        other.counter = newest
        return since
      }
      other.knock(go.nodeId, go.udp)
      await other.until('its key', ({ magic }) => magic === 'PILA')
      let since = await overtaken()
      await pause(2_000)
      assert.equal(asked(since), false)
      for (let waited = 0; waited < 60_000; waited += 5_000) {
        await pause(5_000)
        other.ping(Buffer.alloc(4)) // a silent one would be asked for its key as well
      }
      since = await overtaken()
      await eventually('PILK', () => asked(since) || undefined)
    },
  )
})

describe('our gateway and a daemon of today', { skip: noToday, concurrency: false }, () => {
  let stage: Stage
  let go: GoNode
  let ours: Gateway
  let proxy: RefusingProxy
  let sentBefore = 0
  let rendezvous: Rendezvous

  before(async () => {
    stage = await Stage.open()
    proxy = await refusingProxy(stage)
    sentBefore = packetsOut()
    rendezvous = await Rendezvous.start(stage)
    go = await GoNode.start(stage, { name: 'go-a', rendezvous, public: true, today: proxy })
    const service = await echo(stage)
    ours = await Gateway.start(stage, {
      name: 'ours',
      ...rendezvous,
      trust: ['go-a'],
      map: ['0:go-a:7'],
      expose: [`8080=${service.address}`],
    })
    await go.ctl('handshake', String(ours.ready.node.nodeId), 'hello')
    await ours.trusts('go-a')
  })
  after(async () => stage?.close())

  /** One connection through our mapping to its echo. */
  const works = async (ms = 5_000): Promise<true | undefined> => {
    const socket = connect(ours.local('go-a:7'))
    socket.on('error', () => {})
    try {
      const bytes = noise(1_000)
      let got = Buffer.alloc(0)
      socket.on('data', (part: Buffer) => (got = Buffer.concat([got, part])))
      socket.write(bytes)
      const until = performance.now() + ms
      while (got.length < bytes.length) {
        if (performance.now() > until || socket.destroyed) return undefined
        await pause(10)
      }
      return got.equals(bytes) || undefined
    } finally {
      socket.destroy()
    }
  }

  test('ping, doctor and peers say that it is there, though it answers no empty ping', async () => {
    assert.ok(await works())
    const pinged = await ours.cli('ping', 'go-a', '--count', '3')
    assert.equal(pinged.code, 0, pinged.stdout + pinged.stderr)
    const peer = (await ours.peers()).find(({ hostname }) => hostname === 'go-a')!
    assert.deepEqual([peer.state, peer.path?.kind], ['connected', 'direct'])
    const doctor = await ours.json<DoctorRecord>('doctor')
    assert.deepEqual(
      doctor.checks.filter(({ state }) => state === 'fail'),
      [],
    )
  })

  const noIptables = findProgram('iptables') === undefined && 'there is no iptables on this machine'
  test('relay first, direct once packets pass', { skip: noIptables }, async () => {
    const [a, b] = [String(ours.udp.port), go.udp.split(':')[1]!]
    const rules = [
      ['--sport', a, '--dport', b],
      ['--sport', b, '--dport', a],
    ]
    const table = (action: string): void => {
      for (const rule of rules)
        execFileSync(findProgram('iptables')!, [action, 'INPUT', '-p', 'udp', ...rule, '-j', 'DROP'])
    }
    const kind = async (): Promise<string | undefined> =>
      (await ours.peers()).find(({ hostname }) => hostname === 'go-a')?.path?.kind
    table('-A')
    try {
      await eventually(
        'it is reached by the relay',
        async () => ((await works(8_000)) && (await kind()) === 'relay' ? true : undefined),
        40_000,
      )
    } finally {
      table('-D')
    }
    const socket = connect(ours.local('go-a:7')) // streams seek a better path
    await once(socket, 'connect')
    await eventually('the path is direct again', async () => (await kind()) !== 'relay' || undefined, 40_000)
    socket.destroy()
    assert.ok(await works())
  })

  test('T13: it dials us at once after it has dropped its half of the session', async () => {
    await go.ctl('prefer-direct', String(ours.ready.node.nodeId))
    const { results } = (await go.ctl('ping', ours.ready.node.address, '--count', '1')) as {
      results: Array<{ error?: string; rtt_ms?: number }>
    }
    assert.deepEqual(
      results.map(({ error }) => error),
      [undefined],
    )
    assert.ok(await works())
  })

  test('Q28: a stranger that we sent a message may answer', async () => {
    const agent = await GoNode.start(stage, { name: 'agent', rendezvous, public: true, today: proxy })
    assert.equal((await ours.cli('map', '0:agent:1001')).code, 0)
    const mapping = await eventually('mapped', async () => (await ours.mappings()).find(({ peer }) => peer === 'agent'))
    await said({ host: '127.0.0.1', port: Number(mapping.local.split(':')[1]) }, 'a question')
    // pilotctl itself refuses to dial a private node without trust; other programs of the daemon do not
    const back = await agent.gateway(ours.ready.node.address, '', 1_001)
    assert.match(await said(back, 'the answer'), /^ACK TEXT 10 bytes/)
    const messages = ours.program.events.filter(({ event }) => event === 'message')
    assert.deepEqual(
      messages.map(({ nodeId, bytes }) => [nodeId, bytes]),
      [[agent.nodeId, 10]],
    )
  })

  test('R20: it learns of a trust request in its mailbox within a second, by our beacon', async () => {
    const theirs = await GoNode.start(stage, { name: 'go-c', rendezvous, today: proxy }) // it polls once a minute
    await pause(2_500) // it has just polled
    const began = performance.now()
    await go.ctl('handshake', String(theirs.nodeId), 'hello')
    await eventually('it is pending', async () => {
      const { pending } = (await theirs.ctl('pending')) as { pending: Array<{ node_id: number }> | null }
      return (pending ?? []).some(({ node_id: node }) => node === go.nodeId) || undefined
    })
    assert.ok(performance.now() - began < 5_000)
  })

  test('R21: it changes its key at our registry', async () => {
    const theirs = await GoNode.start(stage, { name: 'go-d', rendezvous, today: proxy })
    const { public_key: before } = (await theirs.ctl('info')) as { public_key: string }
    await theirs.ctl('rotate-key')
    const { public_key: shown } = await askRegistry(rendezvous.registry, { type: 'lookup', node_id: theirs.nodeId })
    assert.notEqual(shown, before)
    await eventually(
      'it shows the new one itself', // its answer is cached for a moment
      async () => ((await theirs.ctl('info')) as { public_key: string }).public_key === shown || undefined,
    )
  })

  test('H8: it reads what we wrote into trust.json, and what it writes, we write back byte by byte', async () => {
    const settings = { name: 'go-b', rendezvous, today: proxy, args: ['-keepalive', '2s'] }
    const theirs = await GoNode.start(stage, settings)
    const file = join(theirs.home, 'trust.json')
    await theirs.program.kill()
    const revoked = [{ nodeId: 99, publicKey: 'QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=' }]
    writeFileSync(file, formatTrustFile({ trusted: [], pending: [], revoked }))
    await theirs.restart()
    await theirs.program.until(() => /trust state.*revoked=1/.exec(theirs.program.stderr) ?? undefined, 'it reads it')
    await go.ctl('handshake', String(theirs.nodeId), 'hello')
    const text = await eventually(
      'the request is in its file',
      () => [readFileSync(file, 'utf8')].find((written) => written.includes('received_at')),
      40_000,
    )
    const parsed = parseTrustFile(text)
    assert.ok(typeof parsed === 'object')
    assert.equal(formatTrustFile(parsed), text)
    assert.deepEqual(parsed.cooldowns, [{ nodeId: 99, time: '9999-12-31T23:59:59Z' }])
  })

  const restarts = process.env['PILOTGATE_LONG'] === undefined ? 3 : 10
  test(`${restarts} restarts of either side, each followed by a working connection`, async (t) => {
    for (let i = 0; i < restarts; i++) {
      const who = Math.random() < 0.5 ? 'ours' : 'theirs'
      await (who === 'ours' ? ours.restart() : go.restart())
      const began = performance.now()
      await eventually(`a connection after ${who} restarted`, async () => works(1_000), 30_000)
      t.diagnostic(`${who}: ${Math.round(performance.now() - began)} ms`)
    }
  })

  test('nothing was sent to any other machine, and nothing new was wanted from the web', () => {
    assert.equal(packetsOut() - sentBefore, 0)
    assert.deepEqual([...new Set(proxy.asked)], ['raw.githubusercontent.com:443'])
  })
})

function isPong({ header }: Heard): boolean {
  return header?.protocol === PROTOCOL_CONTROL && (header.flags & FLAG_ACK) !== 0
}

/** Sends a text to a data exchange. @returns its answer. */
async function said(address: Address, text: string): Promise<string> {
  const socket = connect(address)
  socket.on('error', () => {})
  socket.write(encodeDataFrame('TEXT', Buffer.from(text)))
  const [answer] = (await Promise.race([once(socket, 'data'), once(socket, 'close')])) as [Buffer | boolean]
  socket.destroy()
  return Buffer.isBuffer(answer) ? answer.toString('utf8', 8) : 'closed'
}

function magics(all: readonly Heard[]): string[] {
  return all.map(({ magic }) => magic)
}
