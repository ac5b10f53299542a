/** The compliance suite over our own node, and over a daemon that is driven; its manners are fake-daemon.ts. */
import { join } from 'node:path'
import { DaemonNode } from '../../src/runtime/daemon/daemon-node.ts'
import { silentLogger } from '../../src/runtime/log.ts'
import { OverlayNode } from '../../src/runtime/overlay-node.ts'
import { startRendezvous } from '../../src/server/rendezvous.ts'
import { FakeDaemon } from './fake-daemon.ts'
import { eventually, Stage } from './harness.ts'
import { overlayCompliance } from './overlay-compliance.ts'
import type { OverlayPair } from './overlay-compliance.ts'

const DATAGRAM_PORT = 6_000
const options = { largeBytes: 8_388_608, datagramPort: DATAGRAM_PORT, patienceMs: 20_000 }

overlayCompliance('two nodes of our own', async () => {
  const { stage, a, b } = await twoNodes()
  return { a, b, close: async () => stage.close() }
}, options)

overlayCompliance('a node of our own and a daemon that is driven', async () => {
  const { stage, a, b } = await twoNodes()
  return { a, b: await driven(stage, b), close: async () => stage.close() }
}, options)

overlayCompliance('two daemons that are driven', async () => {
  const { stage, a, b } = await twoNodes()
  return { a: await driven(stage, a), b: await driven(stage, b), close: async () => stage.close() }
}, options)

/** Of the same rendezvous, trusting each other. */
async function twoNodes (): Promise<{ stage: Stage, a: OverlayNode, b: OverlayNode } & Omit<OverlayPair, 'close'>> {
  const stage = await Stage.open()
  const rendezvous = await startRendezvous({ registry: '127.0.0.1:0', beacon: '127.0.0.1:0', log: silentLogger })
  stage.defer(async () => rendezvous.stop())
  const start = async (hostname: string, trust: string): Promise<OverlayNode> => {
    const node = await OverlayNode.start({
      ...rendezvous, listen: '127.0.0.1:0', hostname, public: false, identityFile: stage.path(hostname, 'identity.json'), trust: [trust], pinned: {},
    }, silentLogger, () => {})
    stage.defer(async () => node.stop())
    return node
  }
  const [a, b] = [await start('agent-a', 'agent-b'), await start('agent-b', 'agent-a')]
  await eventually('both trust each other', async () => (await a.isTrusted(b.nodeId) && await b.isTrusted(a.nodeId)) || undefined)
  return { stage, a, b }
}

async function driven (stage: Stage, node: OverlayNode): Promise<DaemonNode> {
  const socket = join(stage.dir, `${node.hostname ?? ''}.sock`)
  const daemon = await FakeDaemon.start({ socket, node, hostname: node.hostname ?? '', datagramPorts: [DATAGRAM_PORT] })
  stage.defer(async () => daemon.stop())
  const driver = await DaemonNode.start({ socket, trust: [] }, silentLogger, () => {})
  stage.defer(async () => driver.stop())
  return driver
}
