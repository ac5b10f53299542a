/**
 * Our node on real UDP with Go-shaped ones (test/go-shaped) and our rendezvous: the scenarios of go-peer.test.ts that
 * need no Go program, so that a regression shows everywhere.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLogger } from '../../src/runtime/log.ts'
import { OverlayNode } from '../../src/runtime/node/node.ts'
import type { OverlayStream } from '../../src/runtime/overlay.ts'
import { startRendezvous } from '../../src/server/rendezvous.ts'
import type { Rendezvous } from '../../src/server/rendezvous.ts'
import { serveHandshakes } from '../../src/services/handshake.ts'
import { serveDataExchange } from '../../src/services/data-exchange.ts'
import { serveEcho } from '../../src/services/echo.ts'
import { Inbox } from '../../src/services/messages/inbox.ts'
import { encodeDataFrame } from '../../src/wire/data-frame.ts'
import { eventually } from '../e2e/harness.ts'
import { noise } from '../e2e/servers.ts'
import { UdpGoNode } from '../go-shaped/udp.ts'

let dir: string
let rendezvous: Rendezvous
let ours: OverlayNode
let open: UdpGoNode // public
let closed: UdpGoNode // private

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pg-go-shaped-'))
  rendezvous = await startRendezvous({ registry: '127.0.0.1:0', beacon: '127.0.0.1:0', log: silentLogger })
  ours = await OverlayNode.start(
    {
      registry: rendezvous.registry,
      beacon: rendezvous.beacon,
      listen: '127.0.0.1:0',
      hostname: 'ours',
      public: false,
      identityFile: join(dir, 'identity.json'),
      trust: ['open', 'closed'],
      pinned: {},
    },
    silentLogger,
    () => {},
  )
  await serveHandshakes(ours, silentLogger)
  await serveEcho(ours)
  const inbox = new Inbox({
    inbox: join(dir, 'inbox'),
    received: join(dir, 'received'),
    journal: join(dir, 'messages.jsonl'),
  })
  await serveDataExchange(ours, inbox, silentLogger, async () => true)
  await ours.whenRegistered(5_000)
  open = await UdpGoNode.start(rendezvous, 'open', { isPublic: true })
  closed = await UdpGoNode.start(rendezvous, 'closed', { heartbeatMs: 1_000 })
})
after(async () => {
  open.stop()
  closed.stop()
  await ours.stop()
  await rendezvous.stop()
  await rm(dir, { recursive: true })
})

test('trust: a public Go node shakes hands with us on port 444, a private one through the registry', async () => {
  open.turn((now) => open.node.handshake(now, ours.nodeId)) // fails: we are private, and there is no pair yet
  open.registration.requestHandshake(ours.nodeId)
  closed.registration.requestHandshake(ours.nodeId)
  await eventually('we trust both', async () => (await ours.trusted()).length === 2 || undefined)
  await open.until(() => open.node.trusted.has(ours.nodeId))
  await closed.until(() => closed.node.trusted.has(ours.nodeId))
})

for (const [name, peer] of [
  ['public', () => open],
  ['private', () => closed],
] as const) {
  test(`4 MiB to the echo of a ${name} Go node and back`, async () => {
    const sent = noise(4_194_304)
    assert.ok((await echoed(await ours.dial(`${peer().nodeId}:7`), sent)).equals(sent))
  })

  test(`4 MiB from a ${name} Go node to our echo and back`, async () => {
    const stream = await peer().dial(ours.nodeId, 7)
    const sent = noise(4_194_304)
    peer().write(stream, sent)
    await peer().until(() => stream.receivedBytes >= sent.length || stream.failure !== undefined, 60_000)
    assert.ok(
      Buffer.concat(stream.received).equals(sent),
      `${stream.receivedBytes} bytes, ${stream.failure ?? 'no failure'}`,
    )
    peer().turn((now) => peer().node.close(now, stream))
  })
}

test('30 connections at once to a node that admits ten per second: none fails', async () => {
  const sent = noise(1_000)
  await Promise.all(
    Array.from({ length: 30 }, async () =>
      assert.ok((await echoed(await ours.dial(`${open.nodeId}:7`), sent)).equals(sent)),
    ),
  )
  // Without pacing twenty are refused at once, and again at each repetition; on a busy machine a few arrive together.
  assert.ok((open.node.counts['syn_limited'] ?? 0) < 10, `${open.node.counts['syn_limited']} were refused`)
})

test('a closed port is refused at once', async () => {
  await assert.rejects(ours.dial(`${open.nodeId}:4242`), { code: 'CONNECTION_REFUSED' })
})

test('a half-close is held back, and the answer after it arrives', async () => {
  open.node.listen(5_000, (stream) => {
    let bytes = 0
    stream.onData = ({ length }) => {
      bytes += length
      if (bytes < 100_000) return
      setTimeout(() => open.write(stream, Buffer.from('the answer')), 300)
      setTimeout(() => open.turn((now) => open.node.close(now, stream)), 600)
    }
  })
  const stream = await ours.dial(`${open.nodeId}:5000`)
  stream.end(noise(100_000))
  assert.equal(Buffer.concat((await stream.toArray()) as Buffer[]).toString(), 'the answer')
})

test("a Go node's message is acknowledged on port 1001", async () => {
  const stream = await closed.dial(ours.nodeId, 1_001)
  closed.write(stream, encodeDataFrame('TEXT', Buffer.from('hello')))
  await closed.until(() => stream.receivedBytes > 0)
  assert.equal(Buffer.concat(stream.received).subarray(8).toString(), 'ACK TEXT 5 bytes')
})

test('a restarted Go node is found again in both directions', async () => {
  const stream = await ours.dial(`${open.nodeId}:7`)
  const ended = new Promise((resolve) => stream.once('error', resolve).once('close', resolve))
  open.turn(() => open.node.restart())
  stream.write('is anybody there?')
  await ended
  const sent = noise(10_000)
  await eventually(
    'a new stream',
    async () => {
      const again = await ours.dial(`${open.nodeId}:7`).catch(() => undefined)
      return again !== undefined && (await echoed(again, sent)).equals(sent) ? true : undefined
    },
    30_000,
  )
  const back = await open.dial(ours.nodeId, 7)
  assert.equal(back.state, 'ESTABLISHED')
})

test('revoked trust: its streams end immediately, and the Go node is notified', async () => {
  const stream = await open.dial(ours.nodeId, 7)
  await ours.revokeTrust(open.nodeId)
  await open.until(() => stream.failure === 'reset' && !open.node.trusted.has(ours.nodeId))
})

async function echoed(stream: OverlayStream, bytes: Buffer): Promise<Buffer> {
  const parts: Buffer[] = []
  let count = 0
  return await new Promise((resolve, reject) => {
    stream.on('error', reject).on('data', (part: Buffer) => {
      parts.push(part)
      count += part.length
      if (count < bytes.length) return
      stream.destroy()
      resolve(Buffer.concat(parts))
    })
    stream.write(bytes)
  })
}
