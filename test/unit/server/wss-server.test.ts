/**
 * The TLS port for nodes without UDP, over loopback: who gets in, what hostile clients cannot do, and our own client at
 * the other end of it.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { WebSocket, WebSocketServer } from 'ws'
import { toBase64, utf8 } from '../../../src/base/bytes.ts'
import { parseEndpoint } from '../../../src/base/types.ts'
import type { Identity } from '../../../src/crypto/identity.ts'
import { CompatLink } from '../../../src/runtime/net/compat-link.ts'
import { checkCompat } from '../../../src/runtime/net/compat-check.ts'
import { createCertificate, fingerprintOf } from '../../../src/server/certificate.ts'
import { startRendezvous, type Rendezvous } from '../../../src/server/rendezvous.ts'
import {
  compatAuthText,
  encodeAuthChallenge,
  encodeAuthReply,
  isAuthOk,
  parseAuthChallenge,
} from '../../../src/wire/compat-auth.ts'
import { RELAY_HEADER_BYTES, writeRelayHeader } from '../../../src/wire/beacon-messages.ts'
import { challenges } from '../../../src/wire/registry-messages.ts'
import { RegistryFrameReader, encodeRegistryFrame } from '../../../src/wire/registry-messages.ts'
import { askRegistry } from '../../interop/ask-registry.ts'
import { newIdentity } from './registry/setting.ts'

const LOG = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

let rendezvous: Rendezvous
let port: number
const identities = [newIdentity(1), newIdentity(2)]
const nodes: number[] = []
before(async () => {
  rendezvous = await startRendezvous({ registry: '127.0.0.1:0', beacon: '127.0.0.1:0', wss: '127.0.0.1:0', log: LOG })
  port = parseEndpoint(rendezvous.wss!)!.port
  for (const identity of identities) nodes.push(await registered(identity))
})
after(async () => rendezvous.stop())

async function registered(identity: Identity): Promise<number> {
  const key = identity.publicKeyBase64
  const signature = toBase64(identity.sign(utf8(challenges.register('0.0.0.0:1', key))))
  const request = { type: 'register', listen_addr: '0.0.0.0:1', public_key: key, signature }
  return Number((await askRegistry(rendezvous.registry, request))['node_id'])
}

function opened(protocol = 'pilot.v1', path = '/v1/compat'): WebSocket {
  return new WebSocket(`wss://127.0.0.1:${port}${path}`, protocol, { rejectUnauthorized: false })
}

/** Answers the challenge; `change` falsifies. @returns the close code, or 'in'. */
async function entered(
  webSocket: WebSocket,
  node: number,
  identity: Identity,
  change: (text: string) => string | Buffer = (text) => text,
): Promise<number | 'in'> {
  return await new Promise((resolve) => {
    webSocket.on('error', () => {})
    webSocket.once('close', (code) => resolve(code))
    webSocket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) return
      const challenge = parseAuthChallenge(data.toString())
      if (challenge === undefined) return resolve(isAuthOk(data.toString()) ? 'in' : 0)
      const signature = identity.sign(utf8(compatAuthText(node, challenge)))
      webSocket.send(change(encodeAuthReply({ nodeId: node, publicKey: identity.publicKey, signature })))
    })
  })
}

const relay = (sender: number, destination: number, bytes: number): Buffer => {
  const out = Buffer.alloc(RELAY_HEADER_BYTES + bytes, 0x50)
  writeRelayHeader(out, 0, sender, destination)
  return out
}

test('a plain GET gets 426 at the right path and 404 elsewhere; registry clients are served on the same port', async () => {
  for (const [path, status] of [
    ['/v1/compat', 426],
    ['/v1/compat?x=1', 426],
    ['/', 404],
  ] as const)
    assert.equal(await statusOf(path), status, path)
  const pin = rendezvous.fingerprint
  const target = { address: '127.0.0.1', port, path: '/v1/compat' }
  assert.equal(await checkCompat(target, pin, undefined, 5_000), undefined)
  assert.match((await checkCompat(target, '00'.repeat(32), undefined, 5_000))!, /neither trusted nor the pinned one/)
  assert.match((await checkCompat({ ...target, path: '/' }, pin, undefined, 5_000))!, /it answers 404/)
  const socket = await tls()
  const reader = new RegistryFrameReader()
  socket.write(encodeRegistryFrame({ type: 'lookup', node_id: nodes[0] }))
  while (reader.next() === undefined) reader.push(((await once(socket, 'data')) as [Buffer])[0])
  socket.destroy()
})

test('only the holder of the registered key gets in', async () => {
  const [mine, other] = nodes as [number, number]
  const [key, stranger] = [identities[0]!, newIdentity(9)]
  assert.equal(await entered(opened(), mine, key), 'in')
  for (const [node, identity, change] of [
    [other, key, undefined], // a foreign id with one's own key
    [mine, stranger, undefined], // one's own key for the id of another
    [9_999, stranger, undefined], // an id without an owner
    [mine, key, (text: string) => text.replace(/"sig":"..../, '"sig":"AAAA')], // a false signature
    [mine, key, (text: string) => text.replace(key.publicKeyBase64, identities[1]!.publicKeyBase64)],
    [mine, key, () => '{"type":"auth_reply"}'],
    [mine, key, () => 'nonsense'],
    [mine, key, (text: string) => Buffer.from(text)], // binary
  ] as const)
    assert.equal(await entered(opened(), node, identity, change), 1008)
  assert.equal(rendezvous.counters().beacon.linksRefused, 8)
})

test('an answer to another challenge does not fit', async () => {
  let kept = ''
  const first = opened()
  await entered(first, nodes[0]!, identities[0]!, (text) => (kept = text))
  assert.equal(await entered(opened(), nodes[0]!, identities[0]!, () => kept), 1008)
})

test('a message of more than 64 KiB, a text after the proof, or a wrong protocol', async () => {
  const big = opened()
  assert.equal(await entered(big, nodes[0]!, identities[0]!), 'in')
  big.send(Buffer.alloc(65_537))
  assert.equal(((await once(big, 'close')) as [number])[0], 1009)
  const talks = opened()
  assert.equal(await entered(talks, nodes[0]!, identities[0]!), 'in')
  talks.send('{"type":"auth_reply"}')
  talks.send(relay(nodes[0]!, nodes[0]!, 4))
  const [data] = (await once(talks, 'message')) as [Buffer]
  assert.equal(data[0], 0x06, 'it works as before')
  talks.terminate()
  for (const [protocol, path] of [
    ['other.v1', '/v1/compat'],
    ['pilot.v1', '/elsewhere'],
  ] as const) {
    const refused = opened(protocol, path)
    refused.on('error', () => {})
    const [, response] = (await once(refused, 'unexpected-response')) as [unknown, { statusCode: number }]
    assert.equal(response.statusCode, 400)
    refused.terminate()
  }
})

test('a reader that stops loses frames beyond a megabyte, and the sender continues', async () => {
  const slow = opened()
  assert.equal(await entered(slow, nodes[0]!, identities[0]!), 'in')
  const sender = opened()
  assert.equal(await entered(sender, nodes[1]!, identities[1]!), 'in')
  slow.pause()
  const before = rendezvous.counters().beacon
  const frame = relay(nodes[1]!, nodes[0]!, 60_000)
  const memory = process.memoryUsage().rss
  for (let i = 0; i < 600; i++) sender.send(frame)
  sender.send(relay(nodes[1]!, nodes[1]!, 4)) // to itself: behind all others
  const own: Buffer[] = []
  sender.on('message', (data: Buffer, isBinary) => isBinary && own.push(data))
  await until(() => own.length > 0)
  const counters = rendezvous.counters().beacon
  assert.ok(counters.relaysLinkFull - before.relaysLinkFull > 100, `${counters.relaysLinkFull} dropped`)
  assert.ok(process.memoryUsage().rss - memory < 150_000_000)
  slow.terminate()
  sender.terminate()
})

test('clients that send nonsense instead of TLS, HTTP or WebSocket are dropped, and others still get in', async () => {
  for (const nonsense of [
    'GET / HTTP/1.1\r\n'.repeat(2_000),
    `\r\n${'x'.repeat(100_000)}`,
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  ]) {
    const socket = await tls()
    socket.on('error', () => {}) // a reset is as good an end as any
    socket.write(nonsense)
    socket.resume()
    await new Promise((resolve) => void socket.once('close', resolve))
  }
  assert.equal(await entered(opened(), nodes[0]!, identities[0]!), 'in')
})

test('our client proves its id, carries datagrams both ways, and closes once it is not needed', async () => {
  const got: Buffer[] = []
  const state: string[] = []
  const link = ours(port, {
    onUp: (isOurs) => void state.push(`up ${isOurs}`),
    onDown: (fault) => void state.push(`down ${fault}`),
    onDatagram: (bytes) => void got.push(Buffer.from(bytes)),
  })
  link.hold(true)
  await until(() => state.length === 1)
  assert.deepEqual([state, link.description], [['up true'], { address: `wss://127.0.0.1:${port}`, proxy: null }])
  link.send(relay(nodes[0]!, nodes[0]!, 10))
  await until(() => got.length === 1)
  assert.equal(got[0]!.length, 15)
  link.hold(false)
  await until(() => state.length === 2)
  assert.deepEqual(state[1], 'down undefined')
  link.send(relay(nodes[0]!, nodes[0]!, 10))
  assert.equal(link.dropped, 1)
  link.stop()
})

test('two copies of one node do not take turns forever: the one that is displaced stays away for half a minute', async () => {
  const state: string[] = []
  const copy = (name: string): CompatLink =>
    ours(port, { onUp: () => void state.push(`${name} up`), onDown: (fault) => void state.push(`${name} ${fault}`) })
  const [one, two] = [copy('one'), copy('two')]
  one.hold(true)
  await until(() => state.length === 1)
  two.hold(true)
  await until(() => state.length === 3)
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  assert.deepEqual(state.toSorted(), ['one closed by the rendezvous (4000) connected again', 'one up', 'two up'])
  one.stop()
  two.stop()
})

test('what our client finds instead of a rendezvous is an error with a reason, and it asks again', async () => {
  const pem = createCertificate(Date.now())
  const server = createServer({ cert: pem.certPem, key: pem.keyPem }, (_request, response) => response.end('hello'))
  const sockets = new WebSocketServer({ noServer: true })
  const behaviours: ((webSocket: WebSocket) => void)[] = [
    (webSocket) => webSocket.send('{"type":"auth_challenge","nonce":"short","ts":1}'),
    (webSocket) => webSocket.close(1008, 'no'),
    (webSocket) => webSocket.send(Buffer.alloc(100_000)),
    (webSocket) => {
      webSocket.send(Buffer.from([0x06, 0, 0, 0, 1, 9])) // a datagram before the proof
      webSocket.send(encodeAuthChallenge({ nonce: 'ab'.repeat(32), ts: 1 }))
      webSocket.once('message', () => webSocket.send('{"type":"auth_ok"}'))
    },
  ]
  let asked = 0
  server.on('upgrade', (request, socket, head) => {
    if (asked++ === 0) return void socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on('error', () => {})
      const behave = behaviours.shift()!
      behave(webSocket)
      if (behaviours.length === 3) setTimeout(() => webSocket.terminate(), 50) // it waits for a proper challenge in vain
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const faults: string[] = []
  const got: Uint8Array[] = []
  let up: boolean | undefined
  const link = ours((server.address() as AddressInfo).port, {
    onUp: (isOurs) => (up = isOurs),
    onDown: (fault) => void faults.push(String(fault)),
    onDatagram: (bytes) => void got.push(bytes),
    fingerprint: fingerprintOf(pem.certPem),
  })
  link.hold(true)
  await until(() => up !== undefined, 20_000)
  assert.equal(up, false, 'not one of ours')
  assert.deepEqual(got, [], 'nothing is taken before the proof')
  assert.match(faults[0]!, /403/)
  assert.match(faults[1]!, /closed/)
  assert.match(faults[2]!, /closed by the rendezvous \(1008\) no/)
  assert.match(faults[3]!, /Max payload size exceeded/)
  link.stop()
  for (const webSocket of sockets.clients) webSocket.terminate()
  server.closeAllConnections()
  server.close()
})

function ours(
  to: number,
  {
    onUp = () => {},
    onDown = () => {},
    onDatagram = () => {},
    fingerprint = rendezvous.fingerprint,
  }: {
    onUp?: (isOurs: boolean) => void
    onDown?: (fault: string | undefined) => void
    onDatagram?: (bytes: Uint8Array) => void
    fingerprint?: string
  },
): CompatLink {
  return new CompatLink(
    {
      targets: [{ address: '127.0.0.1', port: to, path: '/v1/compat' }],
      fingerprint,
      proxy: undefined,
      addressesOf: () => undefined,
      identity: identities[0]!,
      log: LOG,
    },
    { nodeId: () => nodes[0]!, onUp, onDown, onDatagram, onRoom: () => {} },
  )
}

async function until(done: () => boolean, ms = 10_000): Promise<void> {
  for (const end = performance.now() + ms; !done();) {
    assert.ok(performance.now() < end, 'not in time')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

async function tls(): Promise<TLSSocket> {
  const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false })
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  return socket
}

async function statusOf(path: string): Promise<number> {
  const socket = await tls()
  socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
  const [data] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(data.toString())?.[1])
}
