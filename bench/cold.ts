/** The first connection to a peer, tunnel set-up included: on loopback, and through two kernel NATs. */
import { setTimeout as sleep } from 'node:timers/promises'
import { adminClient } from '../src/admin/client.ts'
import { address, eventually } from '../test/e2e/harness.ts'
import { Internet, NatGateway, fetched } from '../test/nat/harness.ts'
import { BenchGateway } from './crew.ts'
import type { Client, Crew } from './crew.ts'

export interface ColdSample {
  readonly ms: number
  readonly from: Readonly<Record<string, number>>
}

export interface ColdPair {
  readonly cold: ColdSample
  readonly restart: ColdSample
}

/**
 * On loopback, with a rendezvous of their own each time (it takes ten registrations a minute): two gateways that trust
 * each other, both killed and started again, so that neither holds a tunnel nor asks for anything (cold); then only the
 * near one (restart).
 */
export async function coldSamples(crew: Crew, count: number): Promise<ColdPair[]> {
  const spot = { host: '127.0.0.1' }
  const { ready } = await crew.role(spot, 'service', spot.host)
  const client = await crew.client(spot)
  const samples: ColdPair[] = []
  for (let i = 0; i < count; i++) {
    const rendezvous = await crew.pilotgate(spot, 'rendezvous', '--registry', '127.0.0.1:0', '--beacon', '127.0.0.1:0')
    const { registry, beacon } = rendezvous.events.find(({ event }) => event === 'ready')!
    const [nearName, farName, common] = [
      `cold-near-${i}`,
      `cold-far-${i}`,
      ['--registry', String(registry), '--beacon', String(beacon)],
    ]
    const [offer, use] = [
      [...common, '--expose', `1=127.0.0.1:${String(ready['service'])}`],
      [...common, '--map', `0:${farName}:1`],
    ]
    await meet(
      new BenchGateway(crew, spot, nearName, [...use, '--trust', farName]),
      new BenchGateway(crew, spot, farName, [...offer, '--trust', nearName]),
    )
    const [far, near] = await Promise.all([
      new BenchGateway(crew, spot, farName, offer).start(),
      new BenchGateway(crew, spot, nearName, use).start(),
    ])
    if ((await adminClient(near.admin).peers()).some(({ state }) => state === 'connected'))
      throw new Error('the tunnel was up already')
    const cold = await firstConnection(client, near)
    samples.push({ cold, restart: await firstConnection(client, await near.start()) })
    for (const { program } of [near, far, { program: rendezvous }]) await program.kill()
  }
  return samples
}

/** They establish trust, which is saved, and are killed. */
async function meet(near: BenchGateway, far: BenchGateway): Promise<void> {
  await Promise.all([far.start(), near.start()])
  await Promise.all([far.trusts(near.name), near.trusts(far.name)])
  await sleep(SETTLE_MS)
  await Promise.all([far.program.kill(), near.program.kill()])
}

async function firstConnection(client: Client, gateway: BenchGateway): Promise<ColdSample> {
  const to = address(gateway.ready.mappings[0]!.local)
  const [ms] = await client.ask<number[]>({ do: 'setUps', by: 'tcp', to, count: 1 })
  const [secondMs] = await client.ask<number[]>({ do: 'setUps', by: 'tcp', to, count: 1 })
  return { ms: ms!, from: { secondMs: secondMs! } }
}

/**
 * Each behind a NAT that admits only replies (MASQUERADE) and forgets in seconds: the path has to be punched.
 * Both are killed and started again before every sample, on the same port, so that neither holds a tunnel; that they trust
 * each other they remember.
 */
export async function natSamples(count: number): Promise<ColdSample[]> {
  const internet = await Internet.start()
  try {
    const [siteA, siteB] = [internet.lab.site('a', { boxes: ['cone'] }), internet.lab.site('b', { boxes: ['cone'] })]
    for (const { gateway } of [siteA, siteB])
      for (const timer of ['udp_timeout', 'udp_timeout_stream'])
        internet.lab.sysctl(gateway, `net.netfilter.nf_conntrack_${timer}=${NAT_FORGETS_MS / 1_000}`)
    const { port } = await internet.script(siteB, ['serve', '127.0.0.1', '0', '0']).event('listening')
    const start = async (asks: boolean): Promise<[NatGateway, NatGateway]> => {
      const common = (peer: string): string[] => ['--listen', '0.0.0.0:41000', ...(asks ? ['--trust', peer] : [])]
      const b = new NatGateway(internet, siteB, 'b', [...common('a'), '--expose', `80=127.0.0.1:${String(port)}`])
      const a = new NatGateway(internet, siteA, 'a', [...common('b'), '--map', '127.0.0.1:8080:b:80'])
      await Promise.all([a.program.event('ready'), b.program.event('ready')])
      return [a, b]
    }
    let [a, b] = await start(true)
    const approved = (gateway: NatGateway): Promise<unknown> =>
      gateway.program.event('trust', ({ state }) => state === 'approved')
    await Promise.all([approved(a), approved(b)])
    await sleep(SETTLE_MS)
    const samples: ColdSample[] = []
    for (let i = 0; i < count; i++) {
      await Promise.all([a.program.kill(), b.program.kill()])
      await sleep(NAT_FORGETS_MS + SETTLE_MS)
      ;[a, b] = await start(false)
      samples.push(await punched(internet, a, 'b'))
    }
    return samples
  } finally {
    await internet.stop()
  }
}

async function punched(internet: Internet, gateway: NatGateway, peer: string): Promise<ColdSample> {
  if ((await gateway.peer(peer))?.state === 'connected') throw new Error('the tunnel was up already')
  const began = performance.now()
  const { firstByteMs, bytes, error } = await fetched(
    internet.script(gateway.site, ['fetch', '127.0.0.1', '8080', '20000']),
    20_000,
  )
  if (error !== null || bytes !== 1) throw new Error(error ?? `${bytes} bytes arrived, not 1`)
  await eventually('a punched path', async () => (await gateway.peer(peer))?.path?.kind === 'punched' || undefined)
  return { ms: firstByteMs, from: { punchedWithinMs: performance.now() - began } }
}

const SETTLE_MS = 1_000
const NAT_FORGETS_MS = 3_000
