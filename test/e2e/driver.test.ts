/**
 * Driver mode, beyond the behaviour both overlays share: a daemon that stops and restarts, trust, names, and its
 * limitations.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { DaemonNode } from '../../src/runtime/daemon/daemon-node.ts'
import { silentLogger } from '../../src/runtime/log.ts'
import type { OverlayEvent } from '../../src/runtime/overlay.ts'
import type { OverlayNode } from '../../src/runtime/node/node.ts'
import { FakeDaemon } from './fake-daemon.ts'
import { eventually, pause } from './harness.ts'
import type { Stage } from './harness.ts'
import { fakeDaemon, twoNodes } from './two-nodes.ts'

let stage: Stage
let registry: string
let daemon: FakeDaemon
let peer: OverlayNode
let driver: DaemonNode
const events: OverlayEvent[] = []

before(async () => {
  const nodes = await twoNodes()
  ;({ stage, registry, b: peer } = nodes)
  daemon = await fakeDaemon(stage, nodes.a)
  driver = await DaemonNode.start(
    { socket: daemon.options.socket, trust: [String(peer.nodeId)] },
    silentLogger,
    (event) => events.push(event),
  )
  stage.defer(async () => driver.stop())
  await peer.listen(80, (incoming) => {
    const stream = incoming.accept()
    stream.on('error', () => {}).pipe(stream)
  })
})
after(async () => stage.close())

test('an already trusted peer is reported as approved, once', async () => {
  await eventually('the event', () => events.find((event) => event.kind === 'trust'))
  await pause(1_500) // reported again
  assert.deepEqual(
    events.filter((event) => event.kind === 'trust').map((event) => [event.node, event.state]),
    [[peer.nodeId, 'approved']],
  )
})

test('a local program that does not read never blocks the daemon', async () => {
  await peer.listen(81, (incoming) =>
    incoming
      .accept()
      .on('error', () => {})
      .write(new Uint8Array(8_000_000)),
  )
  const slow = (await driver.dial(`${peer.nodeId}:81`)).on('error', () => {})
  await pause(1_000)
  const served = [...daemon.conns.values()].find(({ stream }) => stream.remotePort === 81)!
  assert.deepEqual([served.stream.bytesRead, served.segments.length], [8_000_000, 0])
  assert.ok(slow.readableLength < 200_000, `${slow.readableLength} bytes in the stream itself`)
  slow.destroy()
})

test('names: public ones come from the daemon, others from the registry if one is configured', async () => {
  await assert.rejects(driver.resolve('agent-b'), {
    code: 'NOT_FOUND',
    message: /address or node id, or name the registry with --registry/,
  })
  const informed = await DaemonNode.start(
    { socket: daemon.options.socket, registry, trust: [] },
    silentLogger,
    () => {},
  )
  assert.equal(await informed.resolve('agent-b'), peer.nodeId)
  assert.equal(informed.claimOf(peer.nodeId), 'agent-b')
  await eventually('its key is known', () => informed.keyOf(peer.nodeId))
  assert.equal(await informed.means('agent-b', peer.nodeId), true, 'the first trusted key behind the name')
  assert.equal(informed.hostnameOf(peer.nodeId), 'agent-b')
  await assert.rejects(informed.resolve('agent-c'), { code: 'NOT_FOUND' })
  await informed.stop()
})

test('a revoked peer is reported as revoked, and a node that was not trusted cannot be revoked', async () => {
  assert.equal(await driver.revokeTrust(4_711), false)
  assert.equal(await driver.revokeTrust(peer.nodeId), true)
  await eventually('the event', () => events.find((event) => event.kind === 'trust' && event.state === 'revoked'))
  assert.equal(await driver.isTrusted(peer.nodeId), false)
  await driver.requestTrust(String(peer.nodeId), 'again')
  await peer.requestTrust('agent-a', 'again')
  await eventually(
    'trust again',
    async () => ((await driver.isTrusted(peer.nodeId)) && (await peer.isTrusted(driver.nodeId))) || undefined,
  )
})

test('when the daemon stops, its streams and new dials fail; when it is back, so is the exposed port', async () => {
  const { socket, node, hostname } = daemon.options
  await driver.listen(90, (incoming) => {
    const stream = incoming.accept()
    stream.on('error', () => {}).pipe(stream)
  })
  const stream = await driver.dial(`${peer.nodeId}:80`)
  const failed = once(stream, 'error')
  await daemon.stop()
  assert.match(String((await failed)[0]), /the daemon closed the connection/)
  await eventually('the daemon is lost', () => driver.status.daemon?.state === 'lost' || undefined)
  await assert.rejects(driver.dial(`${peer.nodeId}:80`), { code: 'DAEMON_UNREACHABLE' })
  await assert.rejects(driver.trusted(), { code: 'DAEMON_UNREACHABLE' })
  daemon = await FakeDaemon.start({ socket, node, hostname })
  stage.defer(async () => daemon.stop())
  await eventually('the daemon is back', () =>
    events.find((event) => event.kind === 'daemon' && event.state === 'back'),
  )
  const again = await eventually('the port', async () => await peer.dial(`${driver.nodeId}:90`).catch(() => undefined))
  again.write('hello')
  assert.equal(String((await once(again, 'data'))[0]), 'hello')
  again.destroy()
})

test('without a daemon, or with something else on its socket, startup exits 5 with the reason', async () => {
  const other = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  await new Promise<void>((resolve) => other.listen(stage.path('other.sock'), resolve))
  for (const [path, why] of [
    [stage.path('none.sock'), /socket does not exist/],
    [stage.path('other.sock'), /daemon/],
  ] as const) {
    const { code, stdout } = await stage.pilotgate([
      'up',
      '--json',
      '--daemon',
      path,
      '--state-dir',
      stage.path('driver'),
    ])
    const error = JSON.parse(stdout) as { readonly code: string; readonly message: string }
    assert.deepEqual([code, error.code], [5, 'DAEMON_UNREACHABLE'])
    assert.match(error.message, why)
  }
  other.close()
})

test("the program shows the daemon's node; values the daemon does not reveal are null", async () => {
  const program = stage.start([
    'up',
    '--json',
    '--daemon',
    daemon.options.socket,
    '--state-dir',
    stage.path('driver'),
    '--map',
    `0:${peer.address}:80`,
  ])
  const { node, udp } = (await program.event('ready')) as {
    readonly node: { readonly nodeId: number; readonly hostname: string }
    readonly udp: string | null
  }
  assert.deepEqual([node.nodeId, node.hostname, udp], [driver.nodeId, 'agent-a', null])
  const { stdout } = await stage.pilotgate(['status', '--json', '--admin', stage.path('driver', 'admin.sock')])
  const { data } = JSON.parse(stdout) as {
    readonly data: {
      readonly registry: null
      readonly beacon: null
      readonly daemon: { readonly socket: string; readonly state: string }
    }
  }
  assert.deepEqual(
    [data.registry, data.beacon, data.daemon.state, data.daemon.socket],
    [null, null, 'connected', daemon.options.socket],
  )
  program.signal('SIGTERM')
  assert.equal((await program.ended()).code, 0)
})
