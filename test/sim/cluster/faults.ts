/**
 * What can go wrong in a cluster run. Each seed draws how likely each kind is, some of them never: a run in which
 * everything happens finds other bugs than one in which only the registry restarts, again and again.
 */
import { Beacon } from '../../../src/server/beacon/beacon.ts'
import type { Random } from '../simulator/random.ts'
import type { Cluster } from './cluster.ts'

type Fault = (cluster: Cluster, random: Random) => string | undefined // what happened, undefined: it did not apply

const FAULTS: Readonly<Record<string, Fault>> = {
  cut: ({ sim, hosts }, random) => {
    const [x, y] = [pick(hosts, random), pick(hosts, random)]
    const oneWay = random.chance(0.4)
    sim.network.cut(x, y, oneWay)
    return `${x} ${oneWay ? '→' : '↔'} ${y}`
  },
  heal: ({ sim, hosts }, random) => {
    const [x, y] = [pick(hosts, random), pick(hosts, random)]
    sim.network.heal(x, y)
    return `${x} ↔ ${y}`
  },
  blackout: (cluster, random) => {
    const member = pick(cluster.members, random)
    for (const host of cluster.hosts) cluster.sim.network.cut(member.host, host)
    cluster.later(random.below(30_000), () => {
      for (const host of cluster.hosts) cluster.sim.network.heal(member.host, host)
    })
    return member.name
  },
  rebind: ({ members }, random) => {
    const { node, isOpen, name } = pick(members, random)
    if (!isOpen || !node.alive) return undefined
    node.rebind({ address: node.endpoint.address, port: 5_000 + random.below(50_000) })
    return name
  },
  roam: ({ members }, random) => {
    const { node, isOpen, name } = pick(members, random)
    if (!isOpen || !node.alive) return undefined
    node.roam({ address: node.endpoint.address, port: 5_000 + random.below(50_000) })
    return name
  },
  weather: ({ sim }, random) => {
    sim.network.setDefaults({
      delayMs: 1 + random.below(100),
      jitterMs: random.below(80),
      lossRate: random.chance(0.5) ? 0 : random.next() * 0.25,
      duplicateRate: random.chance(0.5) ? 0 : 0.1,
      corruptRate: random.chance(0.8) ? 0 : 0.01,
      rateBps: 1e6 + random.next() * 50e6,
    })
    return ''
  },
  mtu: ({ sim }, random) => {
    const maxDatagram = random.chance(0.5) ? 1_472 : 1_252
    sim.network.setDefaults({ delayMs: 5 + random.below(20), maxDatagram })
    return String(maxDatagram)
  },
  registryRestart: ({ sim }) => {
    sim.registry.restart(false)
    return ''
  },
  registryAway: (cluster, random) => {
    cluster.sim.registry.stop()
    cluster.later(random.below(40_000), () => cluster.sim.registry.restart(false))
    return ''
  },
  registrySilent: (cluster, random) => {
    cluster.sim.registry.silent = true
    cluster.later(random.below(30_000), () => (cluster.sim.registry.silent = false))
    return ''
  },
  registryForgets: ({ sim }) => {
    sim.registry.restart(true)
    return ''
  },
  beaconRestart: ({ sim }) => {
    sim.beacon = new Beacon()
    return ''
  },
  kill: (cluster, random) => {
    const { node, name } = pick(cluster.members, random)
    if (!node.alive) return undefined
    node.kill()
    cluster.later(random.below(40_000), () => {
      if (!node.alive) node.start()
    })
    return name
  },
  pause: (cluster, random) => {
    const { node, name } = pick(cluster.members, random)
    if (!node.alive) return undefined
    const ms = random.below(random.chance(0.3) ? 25_000 : 5_000)
    node.pause(ms)
    return `${name} ${ms} ms`
  },
  stranger: (cluster, random) => {
    const member = pick(cluster.members, random)
    cluster.knock(member)
    return member.name
  },
}

export class Weather {
  readonly #random: Random
  readonly #kinds: readonly string[] // as often as it is likely

  /** @param without kinds that this run does not have. */
  constructor(random: Random, without: readonly string[] = []) {
    this.#random = random
    const kinds = Object.keys(FAULTS).filter((kind) => !without.includes(kind))
    this.#kinds = kinds.flatMap((kind) =>
      Array.from({ length: random.chance(0.25) ? 0 : 1 + random.below(4) }, () => kind),
    )
  }

  /** @returns what happened, for the trace. */
  strike(cluster: Cluster): string | undefined {
    if (this.#kinds.length === 0) return undefined
    const kind = pick(this.#kinds, this.#random)
    const about = FAULTS[kind]!(cluster, this.#random)
    return about === undefined ? undefined : `${kind} ${about}`.trim()
  }
}

function pick<T>(list: readonly T[], random: Random): T {
  return list[random.below(list.length)]!
}
