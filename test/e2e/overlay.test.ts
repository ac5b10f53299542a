/** The compliance suite over our own node, and over a daemon that is driven; its manners are fake-daemon.ts. */
import { overlayCompliance } from './overlay-compliance.ts'
import { DATAGRAM_PORT, driven, twoNodes } from './two-nodes.ts'

const options = { largeBytes: 8_388_608, datagramPort: DATAGRAM_PORT, patienceMs: 20_000 }

overlayCompliance(
  'two nodes of our own',
  async () => {
    const { stage, a, b } = await twoNodes()
    return { a, b, close: async () => stage.close() }
  },
  options,
)

overlayCompliance(
  'a node of our own and a daemon that is driven',
  async () => {
    const { stage, a, b } = await twoNodes()
    return { a, b: await driven(stage, b), close: async () => stage.close() }
  },
  options,
)

overlayCompliance(
  'two daemons that are driven',
  async () => {
    const { stage, a, b } = await twoNodes()
    return { a: await driven(stage, a), b: await driven(stage, b), close: async () => stage.close() }
  },
  options,
)
