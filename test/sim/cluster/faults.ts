/**
 * What can go wrong in a cluster run. Each seed draws how likely each kind is, some with probability 0: a run with
 * every fault finds other bugs than one in which only the registry restarts, over and over.
 */
import { Beacon } from '../../../src/server/beacon/beacon.ts'
import type { Random } from '../simulator/random.ts'
import type { Cluster } from './cluster.ts'

type Fault = (cluster: Cluster, random: Random) => string | undefined // what happened, undefined: it did not apply

const NETWORK: Readonly<Record<string, Fault>> = {
  cut: ({ sim, hosts }, random) => {
    const [x, y] = [pick(hosts, random), pick(hosts, random)]
    const oneWay = random.chance(0.4)
    sim.network.cut(x, y, oneWay)
    return `${x} ${oneWay ? '→' : '↔'} ${y}`
  },
  large: ({ sim, hosts }, random) => {
    const [x, y] = [pick(hosts, random), pick(hosts, random)]
    const oneWay = random.chance(0.5)
    const bytes = 400 + random.below(800)
    sim.network.cut(x, y, oneWay, bytes)
    return `${x} ${oneWay ? '→' : '↔'} ${y} from ${bytes} bytes`
  },
  small: ({ sim, hosts }, random) => {
    const [x, y] = [pick(hosts, random), pick(hosts, random)]
    const oneWay = random.chance(0.5)
    const bytes = 150 + random.below(250)
    sim.network.cut(x, y, oneWay, 0, bytes)
    return `${x} ${oneWay ? '→' : '↔'} ${y} up to ${bytes} bytes`
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
    const isNarrow = random.chance(0.2)
    sim.network.setDefaults({
      delayMs: 1 + random.below(100),
      jitterMs: random.below(80),
      lossRate: random.chance(0.5) ? 0 : random.next() * 0.25,
      duplicateRate: random.chance(0.5) ? 0 : 0.1,
      corruptRate: random.chance(0.8) ? 0 : 0.01,
      rateBps: isNarrow ? 0.3e6 + random.next() * 1e6 : 1e6 + random.next() * 50e6,
      ...(isNarrow && { queueBytes: 4_000 + random.below(30_000) }), // full all the time
    })
    return isNarrow ? 'narrow' : ''
  },
  mtu: ({ sim }, random) => {
    const maxDatagram = random.chance(0.5) ? 1_472 : 1_252
    sim.network.setDefaults({ delayMs: 5 + random.below(20), maxDatagram })
    return String(maxDatagram)
  },
}

const RENDEZVOUS: Readonly<Record<string, Fault>> = {
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
  registryForgets: (cluster, random) => {
    // A plain daemon trusts ids, which may be reassigned: nothing it does afterwards is checked.
    if (cluster.plain.length > 0) return undefined
    cluster.sim.registry.restart(true)
    cluster.onForgotten()
    const { impostor } = cluster
    if (impostor === undefined || random.chance(0.5)) return ''
    const name = pick(cluster.members, random).name
    impostor.takeName(name)
    return `, and the impostor takes the name ${name}`
  },
  registryDiskSlow: ({ sim, later }, random) => {
    sim.registry.disk.latencyMs = random.below(3_000)
    later(random.below(40_000), () => (sim.registry.disk.latencyMs = 0))
    return `${sim.registry.disk.latencyMs} ms`
  },
  registryDiskFull: ({ sim, later }, random) => {
    sim.registry.disk.isFull = true
    later(random.below(30_000), () => {
      sim.registry.disk.isFull = false
      sim.registry.restart(false)
    })
    return ''
  },
  registryClock: ({ sim, later }, random) => {
    const { registry } = sim
    registry.clockOffsetMs = Math.round((random.next() - 0.5) * 7_200_000)
    later(random.below(60_000), () => (registry.clockOffsetMs = 0))
    return `${registry.clockOffsetMs} ms`
  },
  beaconRestart: ({ sim }) => {
    sim.beacon = new Beacon()
    return ''
  },
}

const MACHINES: Readonly<Record<string, Fault>> = {
  kill: ({ members, later }, random) => {
    const { node, name } = pick(members, random)
    if (!node.alive) return undefined
    node.kill()
    later(random.below(40_000), () => {
      if (!node.alive) node.start()
    })
    return name
  },
  killPlain: ({ plain }, random) => {
    if (plain.length === 0) return undefined
    const go = pick(plain, random)
    go.turn(() => go.node.restart())
    return ''
  },
  pause: ({ members }, random) => {
    const { node, name } = pick(members, random)
    if (!node.alive) return undefined
    const ms = random.below(random.chance(0.3) ? 25_000 : 5_000)
    node.pause(ms)
    return `${name} ${ms} ms`
  },
  diskSlow: ({ members, later }, random) => {
    const { node, name } = pick(members, random)
    const { disk } = node.keeper
    disk.latencyMs = random.below(5_000)
    later(random.below(40_000), () => (disk.latencyMs = 0))
    return `${name} ${disk.latencyMs} ms`
  },
  diskFull: ({ members, later }, random) => {
    const { node, name } = pick(members, random)
    const { disk } = node.keeper
    disk.isFull = true
    later(random.below(30_000), () => (disk.isFull = false))
    return name
  },
  clock: ({ members, later }, random) => {
    const { node, name } = pick(members, random)
    node.clockOffsetMs = Math.round((random.next() - 0.5) * 7_200_000)
    later(random.below(60_000), () => (node.clockOffsetMs = 0))
    return `${name} ${node.clockOffsetMs} ms`
  },
}

const PEOPLE: Readonly<Record<string, Fault>> = {
  stranger: (cluster, random) => {
    const member = pick(cluster.members, random)
    cluster.knock(member)
    return member.name
  },
  impostor: ({ impostor, members }, random) => {
    if (impostor === undefined) return undefined
    const [as, towards] = [pick(members, random), pick(members, random)]
    return as === towards ? undefined : impostor.act(random, as.node, towards.node)
  },
  invite: ({ guests }, random) => guests?.invite(random),
  revoke: ({ members, revocations, later }, random) => {
    const [by, of] = [pick(members, random), pick(members, random)]
    if (by === of || !revocations.revoke(by, of)) return undefined
    if (random.chance(0.6)) later(random.below(30_000), () => revocations.giveAgain())
    return `${by.name} of ${of.name}`
  },
}

const FAULTS: Readonly<Record<string, Fault>> = { ...NETWORK, ...RENDEZVOUS, ...MACHINES, ...PEOPLE }

export class Weather {
  readonly #kinds: readonly string[] // as often as it is likely

  constructor(random: Random) {
    this.#kinds = Object.keys(FAULTS).flatMap((kind) =>
      Array.from({ length: random.chance(0.4) ? 0 : 1 + random.below(4) }, () => kind),
    )
  }

  /** @returns a description for the trace. */
  strike(cluster: Cluster, random: Random): string | undefined {
    if (this.#kinds.length === 0) return undefined
    const kind = pick(this.#kinds, random)
    const about = FAULTS[kind]!(cluster, random)
    return about === undefined ? undefined : `${kind} ${about}`.trim()
  }
}

function pick<T>(list: readonly T[], random: Random): T {
  return list[random.below(list.length)]!
}
