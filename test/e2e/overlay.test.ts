/**
 * The compliance suite over our own node and in driver mode; fake-daemon.ts plays a daemon of April, and our driver socket
 * one of today.
 */
import { overlayCompliance } from './overlay-compliance.ts'
import { DATAGRAM_PORT, driven, served, twoNodes } from './two-nodes.ts'

const options = { largeBytes: 8_388_608, datagramPort: DATAGRAM_PORT, patienceMs: 20_000 }

overlayCompliance(
  'two of our own nodes',
  async () => {
    const { stage, a, b } = await twoNodes()
    return { a, b, close: async () => stage.close() }
  },
  options,
)

overlayCompliance(
  'one of our own nodes and a driven daemon',
  async () => {
    const { stage, a, b } = await twoNodes()
    return { a, b: await driven(stage, b), close: async () => stage.close() }
  },
  options,
)

overlayCompliance(
  'two driven daemons',
  async () => {
    const { stage, a, b } = await twoNodes()
    return { a: await driven(stage, a), b: await driven(stage, b), close: async () => stage.close() }
  },
  options,
)

overlayCompliance(
  'one of our own nodes and one through its driver socket',
  async () => {
    const { stage, a, b } = await twoNodes()
    return { a, b: await served(stage, b), close: async () => stage.close() }
  },
  { ...options, endsBoth: true },
)

overlayCompliance(
  'two nodes through their driver sockets',
  async () => {
    const { stage, a, b } = await twoNodes()
    return { a: await served(stage, a), b: await served(stage, b), close: async () => stage.close() }
  },
  options,
)
