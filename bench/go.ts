/**
 * The reference implementation next to ours, if PILOT_GO_BIN names its programs: Go to Go, and our gateway to Go. Two
 * Go daemons answer each other's FIN forever (stream.md Q1), which costs a whole core. They get their own stage and are
 * restarted after each sample; otherwise that load would distort the next measurement.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { address, eventually } from '../test/e2e/harness.ts'
import { GoNode, goProgram, noGo } from '../test/interop/go.ts'
import type { AnyRendezvous } from '../test/interop/go.ts'
import { BenchGateway } from './crew.ts'
import type { Crew } from './crew.ts'
import { setUps } from './roles/tcp-client.ts'
import type { PeerId } from './rows.ts'
import type { GatewayPair, Skip, Way } from './ways.ts'

export async function addGo(
  crew: Crew,
  gateways: GatewayPair,
  wanted: ReadonlySet<PeerId>,
  ways: Map<PeerId, Way>,
  skip: Skip,
): Promise<void> {
  if (!wanted.has('go-go') && !wanted.has('gateway-go')) return
  const why = process.getuid?.() !== 0 ? 'pilot-gateway needs root' : noGo
  if (why !== false) return skip('Go Pilot', why)
  const rendezvous = { registry: gateways.registry, beacon: gateways.beacon }
  if (wanted.has('gateway-go')) ways.set('gateway-go', await gatewayToGo(crew, rendezvous))
  if (wanted.has('go-go')) ways.set('go-go', await goToGo(crew, rendezvous))
}

async function gatewayToGo(crew: Crew, rendezvous: AnyRendezvous): Promise<Way> {
  const far = await GoNode.start(crew.stage, { name: 'bench-go-far', rendezvous, public: true })
  const ours = await new BenchGateway(crew, { host: '127.0.0.1' }, 'bench-to-go', [
    '--registry',
    rendezvous.registry,
    '--beacon',
    rendezvous.beacon,
    '--trust',
    far.name,
    '--map',
    `0:${far.name}:${ECHO_PORT}`,
  ]).start()
  await far.ctl('handshake', String(ours.ready.node.nodeId), 'bench')
  await ours.trusts(far.name)
  const to = address(ours.ready.mappings[0]!.local)
  return { by: 'echo', to, echo: to, pids: [ours.pid, far.program.pid] }
}

async function goToGo(crew: Crew, rendezvous: AnyRendezvous): Promise<Way> {
  const a = await GoNode.start(crew.stage, { name: 'bench-go-a', rendezvous, public: true })
  const b = await GoNode.start(crew.stage, { name: 'bench-go-b', rendezvous, public: true })
  await a.ctl('handshake', String(b.nodeId), 'bench')
  await b.ctl('handshake', String(a.nodeId), 'bench')
  await eventually(
    'the Go nodes trust each other',
    async () => ((await trusts(a, b)) && (await trusts(b, a))) || undefined,
  )
  let gateway = await a.gateway(b.address, GO_LOCAL, ECHO_PORT)
  const to = { host: gateway.host, port: gateway.port }
  const pids: number[] = []
  const works = async (): Promise<void> => {
    await eventually('the Go echo answers', async () => (await setUps(to, 1, true).catch(() => undefined)) && true)
    pids.splice(0, 2, a.program.pid, b.program.pid)
  }
  await works()
  return {
    by: 'echo',
    to,
    echo: to,
    pids,
    afterwards: async () => {
      await gateway.stop()
      await Promise.all([a.restart(), b.restart()])
      gateway = await a.gateway(b.address, GO_LOCAL, ECHO_PORT)
      await works()
    },
  }
}

async function trusts(node: GoNode, other: GoNode): Promise<boolean> {
  const { trusted } = (await node.ctl('trust')) as { readonly trusted: ReadonlyArray<{ readonly node_id: number }> }
  return trusted.some(({ node_id: id }) => id === other.nodeId)
}

const GO_LOCAL = '127.88.200.1'
const ECHO_PORT = 7

/** The programs do not report their version: the start of a digest tells two builds apart. */
export function goVersion(): string | undefined {
  return noGo === false
    ? `sha256:${createHash('sha256')
        .update(readFileSync(goProgram('pilot-daemon')))
        .digest('hex')
        .slice(0, 12)}`
    : undefined
}
