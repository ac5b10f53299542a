/**
 * From a client to a service by every variant, on one machine: what listens where, and which processes are in between.
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createCertificate } from '../src/server/certificate.ts'
import { address } from '../test/e2e/harness.ts'
import type { Address } from '../test/e2e/harness.ts'
import { findProgram } from '../test/e2e/program.ts'
import { freePort } from '../test/interop/go.ts'
import { BenchGateway } from './crew.ts'
import type { Client, Crew, Spot } from './crew.ts'
import type { Speech } from './roles/client.ts'
import type { PeerId } from './rows.ts'

export interface Way {
  readonly by: Speech
  readonly to: Address
  readonly http?: Address
  readonly echo?: Address // an echo that knows no header: the well-known one, overlay port 7
  readonly pids: readonly number[] // what is between: proxies, gateways, a NATS server
  readonly ends?: readonly number[] // service processes whose memory grows with connections
  readonly afterwards?: () => Promise<void> // of a sample: what it left behind and others would suffer from
}

/** One client, one service, and the requested variants between them. */
export interface World {
  readonly client: Client
  readonly ways: ReadonlyMap<PeerId, Way>
  readonly gateways?: GatewayPair
}

export interface GatewayPair {
  readonly near: BenchGateway
  readonly far: BenchGateway
  readonly registry: string
  readonly beacon: string
  readonly exposed: readonly string[] // PORT of each target
}

export type Skip = (what: string, why: string) => void

/** @param near where clients are. @param far where the service is; on one machine both are loopback. */
export async function buildWorld(
  crew: Crew,
  near: Spot,
  far: Spot,
  wanted: ReadonlySet<PeerId>,
  skip: Skip,
): Promise<World> {
  const ways = new Map<PeerId, Way>()
  const inside: Spot = { ...far, host: '127.0.0.1' } // of the far side, where the service is
  const { ready } = await crew.role(far, 'service', '0.0.0.0')
  const [service, http] = [Number(ready['service']), Number(ready['http'])]
  const at = (port: number): Address => ({ host: far.host, port })
  if (wanted.has('tcp')) ways.set('tcp', { by: 'tcp', to: at(service), http: at(http), pids: [] })
  const pairOf = async (kind: 'tcp' | 'tls'): Promise<void> => {
    if (wanted.has(`${kind}-proxy`)) ways.set(`${kind}-proxy`, await proxyPair(crew, kind, near, far, [service, http]))
  }
  const wantsGrpc = wanted.has('grpc') || wanted.has('grpc-gateway')
  const wantsNats = wanted.has('nats') || wanted.has('nats-gateway')
  const [grpc, nats, client] = await Promise.all([
    wantsGrpc ? crew.role(inside, 'grpc', '127.0.0.1') : undefined,
    wantsNats ? startNats(crew, inside, skip) : undefined,
    crew.client(near),
    pairOf('tcp'),
    pairOf('tls'),
  ])
  const direct = { host: '127.0.0.1', port: 0 }
  if (grpc !== undefined && wanted.has('grpc'))
    ways.set('grpc', {
      by: 'grpc',
      to: { ...direct, port: Number(grpc.ready['grpc']) },
      pids: [],
      ends: [grpc.program.pid],
    })
  if (nats !== undefined && wanted.has('nats'))
    ways.set('nats', { by: 'nats', to: { ...direct, port: nats.port }, pids: [nats.pid], ends: [nats.pid] })
  let gateways: GatewayPair | undefined
  if (['gateway', 'grpc-gateway', 'nats-gateway', 'go-go', 'gateway-go'].some((id) => wanted.has(id as PeerId))) {
    const targets = [
      service,
      http,
      ...(grpc === undefined ? [] : [Number(grpc.ready['grpc'])]),
      ...(nats === undefined ? [] : [nats.port]),
    ]
    gateways = await gatewayPair(crew, near, far, targets)
    const pids = [gateways.near.pid, gateways.far.pid]
    const locals = gateways.near.ready.mappings.map(({ local }) => address(local))
    const mapped = (port: number): Address => locals[targets.indexOf(port)]!
    ways.set('gateway', { by: 'tcp', to: mapped(service), http: mapped(http), echo: locals.at(-1)!, pids })
    if (grpc !== undefined && wanted.has('grpc-gateway'))
      ways.set('grpc-gateway', { by: 'grpc', to: mapped(Number(grpc.ready['grpc'])), pids })
    if (nats !== undefined && wanted.has('nats-gateway'))
      ways.set('nats-gateway', { by: 'nats', to: mapped(nats.port), pids: [...pids, nats.pid] })
  }
  if (wanted.has('gateway-node')) ways.set('gateway-node', await nodePair(crew, near, far, [service, http]))
  return { client, ways, ...(gateways !== undefined && { gateways }) }
}

/** Two gateways without the native port. */
async function nodePair(crew: Crew, near: Spot, far: Spot, targets: readonly number[]): Promise<Way> {
  const pair = await gatewayPair(crew, near, far, targets, false)
  const [to, http, echo] = pair.near.ready.mappings.map(({ local }) => address(local))
  return { by: 'tcp', to: to!, http: http!, echo: echo!, pids: [pair.near.pid, pair.far.pid] }
}

async function proxyPair(
  crew: Crew,
  kind: 'tcp' | 'tls',
  near: Spot,
  far: Spot,
  targets: readonly number[],
): Promise<Way> {
  const { dir } = crew.stage
  if (kind === 'tls') {
    const { certPem, keyPem } = createCertificate(Date.now())
    writeFileSync(join(dir, 'cert.pem'), certPem)
    writeFileSync(join(dir, 'key.pem'), keyPem)
  }
  const ports = ({ ready }: { readonly ready: Readonly<Record<string, unknown>> }): number[] =>
    ready['ports'] as number[]
  const b = await crew.role(far, `${kind}-far`, far.host, dir, ...targets.map((port) => `127.0.0.1:${port}`))
  const a = await crew.role(near, `${kind}-near`, '127.0.0.1', dir, ...ports(b).map((port) => `${far.host}:${port}`))
  const [to, http] = ports(a)
  return {
    by: 'tcp',
    to: { host: '127.0.0.1', port: to! },
    http: { host: '127.0.0.1', port: http! },
    pids: [a.program.pid, b.program.pid],
  }
}

async function gatewayPair(
  crew: Crew,
  near: Spot,
  far: Spot,
  targets: readonly number[],
  native = true,
): Promise<GatewayPair> {
  const [nearName, farName] = native ? ['bench-near', 'bench-far'] : ['node-near', 'node-far']
  const rendezvous = await crew.pilotgate(far, 'rendezvous', '--registry', `${far.host}:0`, '--beacon', `${far.host}:0`)
  const ready = rendezvous.events.find(({ event }) => event === 'ready')!
  const [registry, beacon] = [String(ready['registry']), String(ready['beacon'])]
  const common = ['--registry', registry, '--beacon', beacon]
  const exposed = targets.map((_, index) => String(index + 1))
  const b = new BenchGateway(
    crew,
    far,
    farName,
    [
      ...common,
      '--trust',
      nearName,
      ...targets.flatMap((port, index) => ['--expose', `${exposed[index]}=127.0.0.1:${port}`]),
    ],
    native,
  )
  const a = new BenchGateway(
    crew,
    near,
    nearName,
    [...common, '--trust', farName, ...[...exposed, '7'].flatMap((port) => ['--map', `0:${farName}:${port}`])],
    native,
  )
  await Promise.all([a.start(), b.start()])
  await Promise.all([a.trusts(farName), b.trusts(nearName)])
  return { near: a, far: b, registry, beacon, exposed }
}

async function startNats(
  crew: Crew,
  spot: Spot,
  skip: Skip,
): Promise<{ readonly port: number; readonly pid: number } | undefined> {
  const server = findProgram('nats-server')
  if (server === undefined) {
    skip('NATS', 'there is no nats-server on this machine')
    return undefined
  }
  const port = await freePort('tcp')
  const program = crew.spawn(spot, ['-a', spot.host, '-p', String(port)], 'nats-server', server)
  await program.until(() => (program.stderr.includes('Server is ready') ? true : undefined), 'the NATS server')
  await crew.role(spot, 'nats', spot.host, String(port))
  return { port, pid: program.pid }
}

export function natsVersion(): string | undefined {
  const server = findProgram('nats-server')
  return server === undefined ? undefined : execFileSync(server, ['-v'], { encoding: 'utf8' }).trim()
}
