/**
 * Driver mode against the real thing: the compliance suite over two driven Go daemons, cases that need a real daemon
 * (its restart, its gateway), and the program itself. Skipped, with the reason, where PILOT_GO_BIN names none.
 */
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { PilotError } from '../../src/base/errors.ts'
import { DaemonNode } from '../../src/runtime/daemon/daemon-node.ts'
import { silentLogger } from '../../src/runtime/log.ts'
import type { OverlayEvent } from '../../src/runtime/overlay.ts'
import { eventually, Stage } from '../e2e/harness.ts'
import type { Address } from '../e2e/harness.ts'
import { overlayCompliance } from '../e2e/overlay-compliance.ts'
import type { ReadyEvent } from '../../src/gateway/model/events.ts'
import { echo, noise } from '../e2e/servers.ts'
import { GoNode, noGo, startRendezvous } from './go.ts'

overlayCompliance(
  'two driven Go daemons',
  async () => {
    const { stage, one, other } = await twoDaemons()
    const [a, b] = (await Promise.all(
      [one, other].map(async ({ socket }) => {
        const node = await DaemonNode.start({ socket, trust: [] }, silentLogger, () => {})
        stage.defer(async () => node.stop())
        return node
      }),
    )) as [DaemonNode, DaemonNode]
    return { a, b, close: async () => stage.close() }
  },
  { skip: noGo, largeBytes: 2_097_152, datagramPort: 6_000, patienceMs: 120_000 },
)

describe('a driven Go daemon', { skip: noGo, concurrency: false }, () => {
  let stage: Stage
  let one: GoNode
  let other: GoNode
  before(async () => {
    ;({ stage, one, other } = await twoDaemons())
  })
  after(async () => stage.close())

  test('goes away and comes back: streams end, exposed ports are bound again', async () => {
    const events: OverlayEvent[] = []
    const driven = await DaemonNode.start({ socket: one.socket, trust: [] }, silentLogger, (event) =>
      events.push(event),
    )
    await driven.listen(30_000, (incoming) => incoming.refuse())
    const stream = await driven.dial(`${other.nodeId}:7`)
    const failed = new Promise<Error>((resolve) => stream.once('error', resolve))
    await one.restart()
    assert.match((await failed).message, /daemon/)
    await eventually('the daemon is back', () =>
      events.find((event) => event.kind === 'daemon' && event.state === 'back'),
    )
    assert.equal(driven.status.daemon?.state, 'connected')
    const second = await DaemonNode.start({ socket: one.socket, trust: [] }, silentLogger, () => {})
    await eventually(
      'its port is taken again',
      async () =>
        await second
          .listen(30_000, () => {})
          .then(
            (listener) => listener.close(),
            (error: unknown) => (error as PilotError).code === 'PORT_IN_USE' || undefined,
          ),
      30_000,
    )
    await eventually(
      'streams open again',
      async () => {
        const late = await driven.dial(`${other.nodeId}:7`, AbortSignal.timeout(5_000)).catch(() => undefined)
        late?.on('error', () => {}).destroy()
        return late
      },
      60_000,
    )
    await Promise.all([driven.stop(), second.stop()])
  })

  test('the program maps and exposes through it, also for a Go gateway', async () => {
    const service = await echo(stage)
    const up = async (node: GoNode, ...args: string[]): Promise<ReadyEvent> => {
      const program = stage.start(
        ['up', '--json', '--daemon', node.socket, '--state-dir', stage.path(`${node.name}-state`), ...args],
        { label: `driver of ${node.name}` },
      )
      return (await program.event('ready')) as unknown as ReadyEvent
    }
    await up(other, '--expose', `8080=${service.address}`)
    const { mappings, udp, node } = await up(one, '--map', `0:${other.address}:8080`)
    assert.deepEqual([udp, node.nodeId, node.hostname], [null, one.nodeId, one.name])
    const at = mappings[0]!.local.lastIndexOf(':')
    await echoes({ host: mappings[0]!.local.slice(0, at), port: Number(mappings[0]!.local.slice(at + 1)) })
    await echoes(await one.gateway(other.address, '127.88.7.1', 8_080))
  })
})

async function echoes({ host, port }: Address): Promise<void> {
  const sent = noise(200_000)
  const socket: Socket = connect({ host, port })
  const parts: Buffer[] = []
  let got = 0
  const all = new Promise<void>((resolve, reject) => {
    socket
      .on('data', (part: Buffer) => {
        parts.push(part)
        got += part.length
        if (got >= sent.length) resolve()
      })
      .once('error', reject)
      .once('close', () => reject(new Error(`closed after ${got} bytes`)))
  })
  socket.write(sent)
  await all
  socket.removeAllListeners('close').destroy()
  assert.ok(Buffer.concat(parts).equals(sent))
}

/** Public, so that they can resolve each other's names, and trusting each other. */
async function twoDaemons(): Promise<{ stage: Stage; one: GoNode; other: GoNode }> {
  const stage = await Stage.open()
  const rendezvous = await startRendezvous(stage, 'go')
  const [one, other] = [
    await GoNode.start(stage, { name: 'go-a', rendezvous, public: true }),
    await GoNode.start(stage, { name: 'go-b', rendezvous, public: true }),
  ]
  await one.ctl('handshake', String(other.nodeId), 'hello')
  await other.ctl('handshake', String(one.nodeId), 'hello')
  for (const [node, peer] of [
    [one, other],
    [other, one],
  ] as const) {
    await eventually(
      `${node.name} trusts ${peer.name}`,
      async () => {
        const { trusted } = (await node.ctl('trust')) as { trusted: Array<{ node_id: number }> }
        return trusted.some(({ node_id: id }) => id === peer.nodeId) || undefined
      },
      60_000,
    )
  }
  return { stage, one, other }
}
