/**
 * An untrusted node gets nothing, one that is not allowed sees a port without a listener; the exposing side sees both.
 * agent-b exposes 80 for agent-a alone and 81 for every trusted peer; agent-d is trusted, agent-c is not, but knows
 * where agent-b is.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createIdentity, parseIdentityFile } from '../../src/crypto/identity.ts'
import type { Identity } from '../../src/crypto/identity.ts'
import {
  authChallenge,
  encodeAuthFrame,
  encodeKeyFrame,
  encodePunchFrame,
  encodeSealedHeader,
} from '../../src/wire/tunnel-frames.ts'
import { eventually, Gateway, pause, Rendezvous, Stage } from './harness.ts'
import type { Address } from './harness.ts'
import type { LogLine } from './program.ts'
import { echo, fate, talk } from './servers.ts'
import type { Service } from './servers.ts'

let stage: Stage
let service: Service
let a: Gateway // trusted and allowed
let b: Gateway // exposes
let c: Gateway // a stranger
let d: Gateway // trusted, not allowed on 80

before(async () => {
  stage = await Stage.open()
  service = await echo(stage)
  const { registry, beacon } = await Rendezvous.start(stage)
  const common = { registry, beacon }
  b = await Gateway.start(stage, {
    ...common,
    name: 'agent-b',
    trust: ['agent-a', 'agent-d'],
    expose: [`80=${service.address},allow=agent-a`, `81=${service.address}`],
  })
  const ports = (peer: string): string[] => [80, 81, 82].map((port) => `0:${peer}:${port}`)
  const start = (name: string, trust: string[], map: string[]): Promise<Gateway> =>
    Gateway.start(stage, { ...common, name, trust, map })
  ;[a, c, d] = await Promise.all([
    start('agent-a', ['agent-b'], ports('agent-b')),
    start('agent-c', [], [...ports('agent-b'), ...ports(`[${b.ready.node.address}]`)]),
    start('agent-d', ['agent-b'], ports('agent-b')),
  ])
  await Promise.all([a.trusts('agent-b'), d.trusts('agent-b'), b.trusts('agent-a'), b.trusts('agent-d')])
})
after(async () => stage.close())

test('an untrusted node reaches nothing, by address or by name, and its own log says so', async () => {
  // Exposed to some, exposed to all trusted peers, not exposed: a stranger cannot tell them apart.
  const told = new Set<string>()
  for (const peer of ['agent-b', b.ready.node.address]) {
    for (const port of [80, 81, 82]) {
      const mark = c.mark()
      assert.equal((await fate(stage, c.local(`${peer}:${port}`))).ending, 'reset')
      const line = await c.program.log(
        'why the client was reset',
        ({ code, mapping }) => code !== undefined && mapping === `${peer}:${port}`,
        { from: mark },
      )
      assert.ok(line.code === 'NOT_TRUSTED' || line.code === 'NOT_FOUND', JSON.stringify(line))
      told.add(`${peer} ${line.code}`)
    }
  }
  assert.equal(told.size, 2, 'the answer is the same for every port')
  assert.equal(service.accepted, 0)
})

test("a stranger's datagrams are never answered, whatever they hold, and are counted and logged", async () => {
  // A key exchange signed by agent-c itself, frames of every kind, beacon messages and noise, sent from a plain socket.
  const identity = await identityOf(c)
  const [self, unknown] = [c.ready.node.nodeId, 77_777]
  const socket = await plainSocket()
  const answers = collect(socket)
  const [ignored, mark] = [await b.counter('strangers_ignored'), b.mark()]
  const datagrams = [
    auth(identity, self),
    auth(identity, unknown),
    auth(identity, 0),
    sealed(self),
    sealed(unknown),
    encodeKeyFrame({ sender: self, x25519: randomBytes(32) }),
    encodePunchFrame(),
    Buffer.from('PILTplain'),
    Buffer.from([0x01, 0, 0, 0, 1]),
    Buffer.from([0x03, 0, 0, 0, 1, 0, 0, 0, 2]),
    Buffer.from([0x06, 0, 0, 0, 1, ...auth(identity, self)]),
    Buffer.alloc(0),
    Buffer.from('G'),
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    ...Array.from({ length: 100 }, (_, index) => randomBytes(index * 13)),
  ]
  for (const datagram of datagrams) await send(socket, datagram, b.udp)
  await eventually(
    'the strangers are counted',
    async () => (await b.counter('strangers_ignored')) >= ignored + 4 || undefined,
  )
  await b.program.log('a stranger knocked', ({ msg, nodeId }) => nodeId === self && /not trusted/.test(msg), {
    from: mark,
  })
  await pause(300) // long enough for an answer on loopback
  assert.deepEqual(answers, [])
  socket.close()
  await stillServes()
})

test("an impostor of a trusted node learns no more than the answering node's public key exchange", async () => {
  // agent-a's id on a frame agent-a did not send: no stream, no packet, at most the frame any trusted peer is sent.
  const socket = await plainSocket()
  const answers = collect(socket)
  const identity = await identityOf(c)
  for (let round = 0; round < 20; round++) {
    await send(socket, auth(identity, a.ready.node.nodeId), b.udp)
    await send(socket, sealed(a.ready.node.nodeId), b.udp)
  }
  await pause(500)
  for (const bytes of answers) assert.equal(bytes.subarray(0, 4).toString('latin1'), 'PILA')
  assert.ok(
    answers.reduce((sum, bytes) => sum + bytes.length, 0) <= 20 * (136 + sealed(0).length),
    'more comes back than was sent',
  )
  socket.close()
  await stillServes()
})

test('a trusted peer that is not allowed on a port is reset, and the exposing side logs and counts it', async () => {
  const [denied, mark, accepted] = [await b.counter('connections_denied'), b.mark(), service.accepted]
  assert.equal((await fate(stage, d.local('agent-b:80'))).ending, 'reset')
  const line = await b.program.log('DENIED', ({ code }) => code === 'DENIED', { from: mark })
  assert.deepEqual(
    [line['expose'], line['peer'], line['nodeId'], line['port']],
    ['80', 'agent-d', d.ready.node.nodeId, 80],
  )
  assert.equal(await b.counter('connections_denied'), denied + 1)
  assert.equal(service.accepted, accepted)
  assert.equal((await talk(stage, d.local('agent-b:81'), Buffer.from('allowed here'))).toString(), 'allowed here')
})

test('a port that is denied looks to the caller like a port that is not exposed', async () => {
  // The caller's log lines differ only in the port number.
  const lines: LogLine[] = []
  for (const port of [80, 82]) {
    const { ending, ms } = await fate(stage, d.local(`agent-b:${port}`))
    assert.equal(ending, 'reset')
    assert.ok(ms < 1_500, `port ${port}: after ${ms} ms`)
    // The log is sparse: an earlier test may have used up this mapping's line.
    lines.push(await d.program.log('why', ({ code, mapping }) => code !== undefined && mapping === `agent-b:${port}`))
  }
  const [first, second] = lines.map((line) => JSON.stringify({ ...line, time: '' }).replaceAll(/\b8[02]\b/g, 'N'))
  assert.equal(first, second)
  assert.equal(lines[0]!.code, 'CONNECTION_REFUSED')
})

test("a trusted peer's dial to a port that is not exposed is logged by the other side", async () => {
  const mark = b.mark()
  assert.equal((await fate(stage, a.local('agent-b:82'))).ending, 'reset')
  await b.program.log(
    'a port that is not exposed',
    ({ nodeId, port }) => nodeId === a.ready.node.nodeId && port === 82,
    { from: mark },
  )
  await stillServes()
})

async function stillServes(): Promise<void> {
  assert.equal((await talk(stage, a.local('agent-b:80'), Buffer.from('still here'))).toString(), 'still here')
}

async function identityOf(gateway: Gateway): Promise<Identity> {
  const seed = parseIdentityFile(await readFile(`${gateway.stateDir}/identity.json`, 'utf8'))
  assert.ok(typeof seed === 'object')
  return createIdentity(seed)
}

function auth(identity: Identity, sender: number): Uint8Array {
  const x25519 = randomBytes(32)
  return encodeAuthFrame({
    sender,
    x25519,
    ed25519: identity.publicKey,
    signature: identity.sign(authChallenge(sender, x25519)),
  })
}

function sealed(sender: number): Uint8Array {
  const bytes = randomBytes(120)
  encodeSealedHeader(bytes, 0, sender, 1, 0, 1)
  return bytes
}

async function plainSocket(): Promise<Socket> {
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => {
    socket.bind(0, '127.0.0.1', resolve)
  })
  return socket
}

function collect(socket: Socket): Buffer[] {
  const answers: Buffer[] = []
  socket.on('message', (bytes) => answers.push(bytes))
  return answers
}

async function send(socket: Socket, bytes: Uint8Array, to: Address): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.send(bytes, to.port, to.host, (error) => (error === null ? resolve() : reject(error)))
  })
}
