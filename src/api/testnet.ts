/**
 * A private overlay for tests, exported as `pilotgate/testing`: a rendezvous and some nodes in this process, on free
 * loopback ports, with nothing on disk.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { PilotError } from '../base/errors.ts'
import { silentLogger } from '../runtime/log.ts'
import type { Overlay } from '../runtime/overlay.ts'
import { startRendezvous } from '../server/rendezvous.ts'
import { createNode } from './create.ts'

/** As returned by `createNode`. */
export type TestNode = Overlay & AsyncDisposable

export interface Testnet {
  readonly registry: string // host:port, for further nodes and gateways
  readonly beacon: string
  /** agent-1, agent-2, …, all trusting each other. */
  readonly nodes: readonly TestNode[]
  /** Adds one, trusted by all existing nodes. @throws PilotError CONFLICT for a name that is taken. */
  join(hostname: string): Promise<TestNode>
  /** Stops everything. Idempotent. Stop gateways and nodes that you started yourself first. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** @param options nodes: the number of nodes, default 2. */
export async function testnet({ nodes: count = 2 }: { readonly nodes?: number } = {}): Promise<Testnet> {
  const {
    registry,
    beacon,
    stop: stopRendezvous,
  } = await startRendezvous({
    registry: '127.0.0.1:0',
    beacon: '127.0.0.1:0',
    log: silentLogger,
  })
  const nodes: TestNode[] = []
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> =>
    (stopping ??= (async () => {
      await Promise.all(nodes.map((node) => node.stop()))
      await stopRendezvous()
    })())
  const start = async (hostname: string): Promise<TestNode> =>
    await createNode({ registry, beacon, listen: '127.0.0.1:0', hostname })
  const join = async (hostname: string): Promise<TestNode> => {
    const node = await start(hostname)
    const others = [...nodes]
    nodes.push(node)
    await Promise.all(others.map((other) => introduce(node, other)))
    return node
  }
  try {
    await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        nodes[index] = await start(`agent-${index + 1}`)
      }),
    )
    await Promise.all(nodes.flatMap((a, index) => nodes.slice(index + 1).map((b) => introduce(a, b))))
  } catch (error) {
    await stop()
    throw error
  }
  return { registry, beacon, nodes, join, stop, [Symbol.asyncDispose]: stop }
}

/**
 * Makes two registered nodes trust each other, and waits for it. For a gateway, pass its `overlay`.
 * @throws PilotError TIMED_OUT.
 */
export async function introduce(a: Overlay, b: Overlay): Promise<void> {
  const ask = (one: Overlay, other: Overlay): Promise<void> =>
    one.requestTrust(other.hostname ?? other.address, 'introduced by a test', true)
  await Promise.all([ask(a, b), ask(b, a)])
  const until = performance.now() + TRUST_PATIENCE_MS
  while (!((await reaches(a, b)) && (await reaches(b, a)))) {
    if (performance.now() > until)
      throw new PilotError(
        'TIMED_OUT',
        `${a.address} and ${b.address} do not trust each other after ${TRUST_PATIENCE_MS} ms`,
      )
    await sleep(TRUST_POLL_MS)
  }
}

/** The two agree on trust before the registry has both reports, and only then does it reveal their addresses. */
async function reaches(a: Overlay, b: Overlay): Promise<boolean> {
  return (
    (await a.isTrusted(b.nodeId)) &&
    (await a.connect(b.address).then(
      () => true,
      () => false,
    ))
  )
}

const TRUST_PATIENCE_MS = 10_000
const TRUST_POLL_MS = 5
