/** Overlays with nodes behind middleboxes, the kinds of middleboxes, and the best possible path between two of them. */
import type { Endpoint } from '../../../src/base/types.ts'
import { sameEndpoint } from '../../../src/base/types.ts'
import type { Dependence, NatBehaviour } from './nat.ts'
import { Nat } from './nat.ts'
import type { Uplink } from './nat.ts'
import { Network } from './network.ts'
import type { SimOverlay } from './overlay.ts'
import { Random } from './random.ts'
import type { SimNode, SimNodeOptions } from './sim-node.ts'
import { World } from './world.ts'

const SHORT: Readonly<Record<Dependence, string>> = {
  'endpoint-independent': 'EI',
  'address-dependent': 'AD',
  'address-and-port-dependent': 'APD',
}
const DEPENDENCES = Object.keys(SHORT) as Dependence[]

/** A Linux router with MASQUERADE: one mapping per destination, keeping the port. */
export const LINUX: NatBehaviour = {
  mapping: 'address-and-port-dependent',
  filtering: 'address-and-port-dependent',
  portPreservation: true,
}

/**
 * Every kind by its short name: `open`, `firewall`, a Linux router, and NATs by mapping/filtering (EI, AD, APD: what
 * they depend on).
 */
export const KINDS: ReadonlyMap<string, NatBehaviour | undefined> = new Map<string, NatBehaviour | undefined>([
  ['open', undefined],
  ['firewall', { mapping: 'none', filtering: 'address-and-port-dependent' }],
  ['linux', LINUX],
  ...DEPENDENCES.flatMap((mapping) =>
    DEPENDENCES.map((filtering): [string, NatBehaviour] => [
      `${SHORT[mapping]}M/${SHORT[filtering]}F`,
      { mapping, filtering },
    ]),
  ),
])

/** A node behind its own middlebox; `side` 1 is left, 2 is right. */
export function behind(
  sim: SimOverlay,
  hostname: string,
  side: number,
  behaviour: NatBehaviour | undefined,
  options: SimNodeOptions = {},
): { readonly node: SimNode; readonly nat: Nat | undefined } {
  if (behaviour === undefined) return { node: sim.node(hostname, options), nat: undefined }
  const outside = `198.18.0.${side}`
  const nat = new Nat(sim.world, sim.random, sim.network, outside, behaviour)
  return { node: inside(sim, hostname, nat, outside, side, options), nat }
}

/** Another node behind the same box. */
export function inside(
  sim: SimOverlay,
  hostname: string,
  nat: Nat,
  outside: string,
  index: number,
  options: SimNodeOptions = {},
): SimNode {
  const own = { address: nat.behaviour.mapping === 'none' ? outside : `10.0.${index}.2`, port: 4_000 + index }
  return sim.node(hostname, {
    lanEndpoints: nat.behaviour.mapping === 'none' ? [] : [own],
    ...options,
    behind: { nat, inside: own, outside },
  })
}

/**
 * The judge: can two hosts that know only what a beacon reports and where datagrams come from reach each other both
 * ways? Each keeps sending to every endpoint it knows; no host could do more without guessing ports. It shares only the
 * middleboxes with the nodes under test.
 */
export function isDirectPossible(left: NatBehaviour | undefined, right: NatBehaviour | undefined): boolean {
  const world = new World()
  const random = new Random(7)
  const network = new Network(world, random, { delayMs: 10 })
  const beacon = { address: '198.51.100.1', port: 9001 }
  const seen: Endpoint[] = []
  network.attach(beacon, (_bytes, source) => void seen.push(source))
  const hosts = [left, right].map((behaviour, index) => makeHost(world, random, network, behaviour, index + 1))
  for (const host of hosts) host.ask(beacon)
  world.run({ untilMs: 100 })
  hosts[0]!.known.push(seen[1]!)
  hosts[1]!.known.push(seen[0]!)
  for (let round = 1; round <= ROUNDS; round++) {
    for (const host of hosts) for (const endpoint of host.known) host.ask(endpoint)
    world.run({ untilMs: 100 + 100 * round })
  }
  return hosts.every((host) => host.answered)
}

interface JudgeHost {
  readonly known: Endpoint[]
  answered: boolean
  ask(to: Endpoint): void
}

function makeHost(
  world: World,
  random: Random,
  network: Network,
  behaviour: NatBehaviour | undefined,
  side: number,
): JudgeHost {
  const outside = `198.18.0.${side}`
  const uplink: Uplink = behaviour === undefined ? network : new Nat(world, random, network, outside, behaviour)
  const own = {
    address: behaviour === undefined || behaviour.mapping === 'none' ? outside : `10.0.${side}.2`,
    port: 4_000 + side,
  }
  const asked: Endpoint[] = []
  const host: JudgeHost = {
    known: [],
    answered: false,
    ask(to) {
      asked.push(to)
      uplink.send(own, to, new Uint8Array([QUESTION, asked.length - 1]))
    },
  }
  uplink.attach(own, (bytes, source) => {
    if (!host.known.some((endpoint) => sameEndpoint(endpoint, source))) host.known.push(source)
    if (bytes[0] === QUESTION) uplink.send(own, source, new Uint8Array([ANSWER, bytes[1]!]))
    else if (sameEndpoint(source, asked[bytes[1]!])) host.answered = true // the answer returned
  })
  return host
}

const QUESTION = 1
const ANSWER = 2
const ROUNDS = 5
