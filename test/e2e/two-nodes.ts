/** Two of our nodes in this process, and daemons on top of them: the basis of the overlay tests. */
import { join } from 'node:path'
import { DaemonNode } from '../../src/runtime/daemon/daemon-node.ts'
import { DriverSocket } from '../../src/runtime/driver-socket/server.ts'
import { silentLogger } from '../../src/runtime/log.ts'
import { OverlayNode } from '../../src/runtime/node/node.ts'
import type { OverlayEvent } from '../../src/runtime/overlay.ts'
import { startRendezvous } from '../../src/server/rendezvous.ts'
import { FakeDaemon } from './fake-daemon.ts'
import { eventually, Stage } from './harness.ts'

export const DATAGRAM_PORT = 6_000

/** On the same rendezvous, trusting each other. */
export async function twoNodes(): Promise<{ stage: Stage; registry: string; a: OverlayNode; b: OverlayNode }> {
  const stage = await Stage.open()
  const rendezvous = await startRendezvous({
    registry: '127.0.0.1:0',
    beacon: '127.0.0.1:0',
    log: silentLogger,
    rules: { compat: new Set(['unsigned-requester']) },
  }) // names as in the reference registry
  stage.defer(async () => rendezvous.stop())
  const start = async (hostname: string, trust: string): Promise<OverlayNode> => {
    const node = await OverlayNode.start(
      {
        ...rendezvous,
        listen: '127.0.0.1:0',
        hostname,
        public: false,
        identityFile: stage.path(hostname, 'identity.json'),
        trust: [trust],
        pinned: {},
      },
      silentLogger,
      () => {},
    )
    stage.defer(async () => node.stop())
    return node
  }
  const [a, b] = [await start('agent-a', 'agent-b'), await start('agent-b', 'agent-a')]
  await eventually(
    'both trust each other',
    async () => ((await a.isTrusted(b.nodeId)) && (await b.isTrusted(a.nodeId))) || undefined,
  )
  return { stage, registry: rendezvous.registry, a, b }
}

export async function fakeDaemon(stage: Stage, node: OverlayNode): Promise<FakeDaemon> {
  const socket = join(stage.dir, `${node.hostname ?? ''}.sock`)
  const daemon = await FakeDaemon.start({ socket, node, hostname: node.hostname ?? '', datagramPorts: [DATAGRAM_PORT] })
  stage.defer(async () => daemon.stop())
  return daemon
}

/** A daemon with this node as its overlay, and our driver for it. */
export async function driven(
  stage: Stage,
  node: OverlayNode,
  onEvent: (event: OverlayEvent) => void = () => {},
): Promise<DaemonNode> {
  const { options } = await fakeDaemon(stage, node)
  return await driverOf(stage, options.socket, onEvent)
}

/** Our driver for our own driver socket. */
export async function served(stage: Stage, node: OverlayNode): Promise<DaemonNode> {
  const socket = stage.path(`${node.hostname ?? ''}-drivers`, 'pilot.sock')
  const drivers = await DriverSocket.open(node, { at: socket, version: '0' }, silentLogger)
  stage.defer(async () => drivers.close())
  return await driverOf(stage, socket, () => {})
}

async function driverOf(stage: Stage, socket: string, onEvent: (event: OverlayEvent) => void): Promise<DaemonNode> {
  const driver = await DaemonNode.start({ socket, trust: [] }, silentLogger, onEvent)
  stage.defer(async () => driver.stop())
  return driver
}
