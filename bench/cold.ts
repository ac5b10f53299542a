/** The first connection to a peer, tunnel and all: on loopback, and through two NATs of the kernel. */
import { adminClient } from '../src/admin/client.ts'
import { address, eventually } from '../test/e2e/harness.ts'
import { Internet } from '../test/nat/harness.ts'
import { BenchGateway } from './crew.ts'
import type { Crew } from './crew.ts'
import type { World } from './ways.ts'

export interface ColdSample { readonly ms: number, readonly from: Readonly<Record<string, number>> }

/** New nodes, each trusted by `far` and never connected to it before. */
export async function coldSamples (crew: Crew, world: World, count: number): Promise<ColdSample[]> {
  const { far } = world.gateways!
  const samples: ColdSample[] = []
  for (let i = 0; i < count; i++) {
    const gateway = await newcomer(crew, world, `bench-cold-${i}`)
    const peers = await adminClient(gateway.admin).peers()
    if (peers.some(({ hostname, state }) => hostname === far.name && state === 'connected')) throw new Error('the tunnel was up already')
    samples.push(await firstConnection(world, gateway))
    await gateway.program.kill()
  }
  return samples
}

/** One node, killed and started again before every sample: it has forgotten the tunnel that `far` still believes in. */
export async function restartSamples (crew: Crew, world: World, count: number): Promise<ColdSample[]> {
  const gateway = await newcomer(crew, world, 'bench-restart')
  await firstConnection(world, gateway)
  const samples: ColdSample[] = []
  for (let i = 0; i < count; i++) samples.push(await firstConnection(world, await gateway.start()))
  await gateway.program.kill()
  return samples
}

async function newcomer (crew: Crew, world: World, name: string): Promise<BenchGateway> {
  const { far, registry, beacon, exposed } = world.gateways!
  const gateway = await new BenchGateway(crew, { host: '127.0.0.1' }, name, ['--registry', registry, '--beacon', beacon, '--trust', far.name, '--map', `0:${far.name}:${exposed[0]}`]).start()
  await adminClient(far.admin).requestTrust(name, 'bench')
  await Promise.all([gateway.trusts(far.name), far.trusts(name)])
  return gateway
}

async function firstConnection (world: World, gateway: BenchGateway): Promise<ColdSample> {
  const to = address(gateway.ready.mappings[0]!.local)
  const [ms] = await world.client.ask<number[]>({ do: 'setUps', by: 'tcp', to, count: 1 })
  const [secondMs] = await world.client.ask<number[]>({ do: 'setUps', by: 'tcp', to, count: 1 })
  return { ms: ms!, from: { secondMs: secondMs! } }
}

/** Both behind a NAT that lets in only what was asked for (MASQUERADE), and strangers so far: the way has to be punched. */
export async function natSamples (count: number): Promise<ColdSample[]> {
  const internet = await Internet.start()
  try {
    const samples: ColdSample[] = []
    for (let i = 0; i < count; i++) {
      const pair = await internet.pair({ boxes: ['cone'] }, { boxes: ['cone'] }, { bytes: 0 })
      await pair.trusted()
      if ((await pair.a.peer(pair.b.name))?.state === 'connected') throw new Error('the tunnel was up already')
      const began = performance.now()
      const { firstByteMs, bytes, error } = await pair.fetch(20_000)
      if (error !== null || bytes !== 1) throw new Error(error ?? `${bytes} of 1 bytes arrived`)
      await eventually('a punched path', async () => (await pair.a.peer(pair.b.name))?.path?.kind === 'punched' || undefined)
      samples.push({ ms: firstByteMs, from: { punchedWithinMs: performance.now() - began } })
      await pair.stop()
    }
    return samples
  } finally {
    await internet.stop()
  }
}
