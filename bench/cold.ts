/** The first connection of a gateway that has just started: on loopback, and through two NATs of the kernel. */
import { eventually } from '../test/e2e/harness.ts'
import { address } from '../test/e2e/harness.ts'
import { Internet, NatGateway, fetched } from '../test/nat/harness.ts'
import { BenchGateway } from './crew.ts'
import type { Crew } from './crew.ts'
import type { World } from './ways.ts'

export interface ColdSample { readonly ms: number, readonly from: Readonly<Record<string, number>> }

/**
 * A third gateway that `far` trusts, killed and started again as the same node before every sample: it knows whom it
 * trusts, and nothing else.
 */
export async function coldSamples (crew: Crew, world: World, count: number): Promise<ColdSample[]> {
  const { registry, beacon, exposed } = world.gateways!
  const gateway = await new BenchGateway(crew, { host: '127.0.0.1' }, 'bench-cold', ['--registry', registry, '--beacon', beacon, '--trust', 'bench-far', '--map', `0:bench-far:${exposed[0]}`]).start()
  await Promise.all([gateway.trusts('bench-far'), world.gateways!.far.trusts('bench-cold')])
  const samples: ColdSample[] = []
  for (let i = 0; i < count; i++) {
    await gateway.start()
    const to = address(gateway.ready.mappings[0]!.local)
    const [ms] = await world.client.ask<number[]>({ do: 'setUps', by: 'tcp', to, count: 1 })
    const [again] = await world.client.ask<number[]>({ do: 'setUps', by: 'tcp', to, count: 1 })
    samples.push({ ms: ms!, from: { secondMs: again! } })
  }
  await gateway.program.kill()
  return samples
}

/** Both behind a NAT that lets in only what was asked for (MASQUERADE): the way has to be punched. */
export async function natSamples (count: number): Promise<ColdSample[]> {
  const internet = await Internet.start()
  try {
    const pair = await internet.pair({ boxes: ['cone'] }, { boxes: ['cone'] }, { bytes: 1 })
    await pair.trusted()
    const { site, name } = pair.a
    let gateway = pair.a
    const samples: ColdSample[] = []
    for (let i = 0; i < count; i++) {
      await gateway.program.kill()
      gateway = new NatGateway(internet, site, name, ['--trust', pair.b.name, '--map', `127.0.0.1:8080:${pair.b.name}:80`])
      await gateway.program.event('ready')
      const began = performance.now()
      const { firstByteMs, bytes, error } = await fetched(internet.script(site, ['fetch', '127.0.0.1', '8080', '20000']))
      if (error !== null || bytes !== 2) throw new Error(error ?? `${bytes} of 2 bytes arrived`)
      await eventually('a punched path', async () => (await gateway.peer(pair.b.name))?.path?.kind === 'punched' || undefined)
      samples.push({ ms: firstByteMs, from: { punchedWithinMs: performance.now() - began } })
    }
    return samples
  } finally {
    await internet.stop()
  }
}
