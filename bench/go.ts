/** The reference implementation beside ours, where PILOT_GO_BIN names its programs: Go to Go, and our gateway to Go. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { address, eventually } from '../test/e2e/harness.ts'
import { GoNode, goProgram, noGo } from '../test/interop/go.ts'
import { BenchGateway } from './crew.ts'
import type { Crew } from './crew.ts'
import type { PeerId } from './rows.ts'
import type { GatewayPair, Skip, Way } from './ways.ts'

export async function addGo (crew: Crew, gateways: GatewayPair, wanted: ReadonlySet<PeerId>, ways: Map<PeerId, Way>, skip: Skip): Promise<void> {
  if (!wanted.has('go-go') && !wanted.has('gateway-go')) return
  const why = process.getuid?.() !== 0 ? 'pilot-gateway needs root' : noGo
  if (why !== false) return skip('Go Pilot', why)
  const { stage } = crew
  const rendezvous = { registry: gateways.registry, beacon: gateways.beacon }
  const b = await GoNode.start(stage, { name: 'bench-go-b', rendezvous, public: true })
  if (wanted.has('gateway-go')) {
    const ours = await new BenchGateway(crew, { host: '127.0.0.1' }, 'bench-to-go', ['--registry', rendezvous.registry, '--beacon', rendezvous.beacon, '--trust', 'bench-go-b', '--map', '0:bench-go-b:7']).start()
    await b.ctl('handshake', String(ours.ready.node.nodeId), 'bench')
    await ours.trusts('bench-go-b')
    const to = address(ours.ready.mappings[0]!.local)
    ways.set('gateway-go', { by: 'echo', to, echo: to, pids: [ours.pid, b.program.pid] })
  }
  if (!wanted.has('go-go')) return
  const a = await GoNode.start(stage, { name: 'bench-go-a', rendezvous, public: true })
  await a.ctl('handshake', String(b.nodeId), 'bench')
  await b.ctl('handshake', String(a.nodeId), 'bench')
  await eventually('the Go nodes trust each other', async () => {
    const trusted = await Promise.all([trusts(a, b.nodeId), trusts(b, a.nodeId)])
    return trusted.every(Boolean) || undefined
  })
  const to = await a.gateway(b.address, '127.88.200.1', 7)
  ways.set('go-go', { by: 'echo', to, echo: to, pids: [a.program.pid, b.program.pid] })
}

async function trusts (node: GoNode, other: number): Promise<boolean> {
  const { trusted } = await node.ctl('trust') as { readonly trusted: ReadonlyArray<{ readonly node_id: number }> }
  return trusted.some(({ node_id: id }) => id === other)
}

/** The programs do not tell their version: the beginning of a digest tells two of them apart. */
export function goVersion (): string | undefined {
  return noGo === false ? `sha256:${createHash('sha256').update(readFileSync(goProgram('pilot-daemon'))).digest('hex').slice(0, 12)}` : undefined
}
