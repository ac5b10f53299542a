/** Faults of the network between the parts: the middle drops, cuts or narrows the traffic, or changes an address. */
import { inside } from '../../nat/lab.ts'
import type { Heal, LoadedRow } from '../row.ts'
import { pause } from '../world.ts'
import type { Side, World } from '../world.ts'

const DATAGRAMS = ['-p', 'udp'] as const
/** docs/limits.md: a peer is given up after this long in silence. */
const PEER_DEAD_MS = 15_000

/** A request that was on its way when the network went is reset with the peer; new ones fail within five seconds. */
const IN_FLIGHT_MS = PEER_DEAD_MS + 2_000

export const NETWORK_ROWS: readonly LoadedRow[] = [
  {
    name: 'path-death',
    what: 'the direct path dies both ways for 12 s',
    promise: { recoveryMs: 5_000, silenceMs: 12_000, newDuring: true },
    fault: (world) => cut(world, [direct(world, 'a'), direct(world, 'b')], 12_000),
  },
  {
    name: 'path-death-a-to-b',
    what: 'the direct path dies from the mapping to the exposing side only, 12 s',
    promise: { recoveryMs: 5_000, silenceMs: 12_000, newDuring: true },
    fault: (world) => cut(world, [direct(world, 'a')], 12_000),
  },
  {
    name: 'path-death-b-to-a',
    what: 'the direct path dies from the exposing to the mapping side only, 12 s',
    promise: { recoveryMs: 5_000, silenceMs: 12_000, newDuring: true },
    fault: (world) => cut(world, [direct(world, 'b')], 12_000),
  },
  {
    name: 'duplicate',
    what: '30 % of the datagrams between the gateways arrive twice, for 12 s',
    promise: { recoveryMs: 3_000, silenceMs: 4_000, newDuring: true },
    fault: async (world) => {
      duplicate(world, 30)
      await pause(12_000)
      return () => {}
    },
  },
  {
    name: 'reorder',
    what: '30 % of the datagrams between the gateways take a slower line and arrive late, for 12 s',
    promise: { recoveryMs: 4_000, silenceMs: 4_000, newDuring: true },
    fault: async (world) => {
      slowLines(world, 30)
      await pause(12_000)
      return () => {}
    },
  },
  {
    name: 'crooked',
    what: 'both of these, and 3 % of all datagrams are lost, for 12 s',
    promise: { recoveryMs: 5_000, silenceMs: 6_000, newDuring: true },
    fault: async (world) => {
      duplicate(world, 30)
      slowLines(world, 30)
      return await cut(world, [chance(3)], 12_000)
    },
  },
  {
    name: 'drop-large',
    what: 'the direct path loses every packet of 700 bytes or more, 20 s',
    promise: { recoveryMs: 5_000, silenceMs: 12_000 },
    fault: (world) => cut(world, [sized(world, 'a', '700:65535'), sized(world, 'b', '700:65535')], 20_000),
  },
  {
    name: 'drop-small',
    what: 'the direct path loses every packet of up to 300 bytes, 25 s',
    promise: { recoveryMs: 5_000, silenceMs: 12_000 },
    fault: (world) => cut(world, [sized(world, 'a', '0:300'), sized(world, 'b', '0:300')], 25_000),
  },
  {
    name: 'gone-a',
    what: 'the mapping side loses its network for 10 s',
    promise: { recoveryMs: 5_000, failureMs: 5_000 },
    fault: (world) => isolate(world, 'a', 10_000),
  },
  {
    name: 'gone-b',
    what: 'the exposing side loses its network for 10 s',
    promise: { recoveryMs: 5_000, failureMs: 5_000 },
    fault: (world) => isolate(world, 'b', 10_000),
  },
  {
    name: 'gone-a-long',
    what: 'the mapping side loses its network for 25 s',
    promise: { recoveryMs: 5_000, resets: true, failureMs: IN_FLIGHT_MS },
    fault: (world) => isolate(world, 'a', PEER_DEAD_MS + 10_000),
  },
  {
    name: 'udp-blocked',
    what: 'no UDP passes for 8 s',
    promise: { recoveryMs: 5_000, failureMs: 5_000 },
    fault: (world) => cut(world, [DATAGRAMS], 8_000),
  },
  {
    name: 'udp-blocked-long',
    what: 'no UDP passes for 25 s',
    promise: { recoveryMs: 5_000, resets: true, failureMs: IN_FLIGHT_MS },
    fault: (world) => cut(world, [DATAGRAMS], PEER_DEAD_MS + 10_000),
  },
  {
    name: 'udp-blocked-at-start',
    what: 'both gateways start while no UDP passes; it passes 10 s later',
    promise: { recoveryMs: 6_000, resets: true, localEnds: 'both' },
    fault: async (world) => {
      const heal = world.lab.drop(...DATAGRAMS)
      await Promise.all([world.a.restart(), world.b.restart()])
      await pause(10_000)
      return heal
    },
  },
  {
    name: 'address-a',
    what: 'the address of the mapping side changes',
    promise: { recoveryMs: 5_000 },
    fault: async (world) => () => world.lab.readdress(world.sites.a, 77),
  },
  {
    name: 'address-b',
    what: 'the address of the exposing side changes',
    promise: { recoveryMs: 5_000 },
    fault: async (world) => () => world.lab.readdress(world.sites.b, 77),
  },
  {
    name: 'address-six',
    what: 'the address of either side changes six times in 20 s',
    promise: { recoveryMs: 5_000, silenceMs: 8_000, newDuring: true },
    fault: async (world) => {
      for (let change = 0; change < 6; change++) {
        world.lab.readdress(world.sites[change % 2 === 0 ? 'a' : 'b'], 70 + change)
        await pause(3_300)
      }
      return () => {}
    },
  },
  {
    name: 'flap',
    what: 'the link of one side goes up and down every second for 20 s',
    promise: { recoveryMs: 5_000, silenceMs: 8_000 },
    fault: async (world) => {
      const site = world.sites[world.random(2) === 0 ? 'a' : 'b']
      for (let flap = 0; flap < 10; flap++) {
        world.lab.link(site, 'down')
        await pause(1_000)
        world.lab.link(site, 'up')
        await pause(1_000)
      }
      return () => {}
    },
  },
  ...[1, 5, 20].map((percent): LoadedRow => ({
    name: `loss-${percent}`,
    what: `${percent} % of all datagrams are lost for 15 s`,
    // A backed-off retransmission timer does not notice that the loss is over.
    promise: {
      recoveryMs: percent === 20 ? 12_000 : 5_000,
      silenceMs: percent === 20 ? 14_000 : 6_000,
      newDuring: true,
    },
    fault: (world) =>
      cut(
        world,
        [[...DATAGRAMS, '-m', 'statistic', '--mode', 'random', '--probability', String(percent / 100)]],
        15_000,
      ),
  })),
  ...(['icmp', 'no-icmp'] as const).map((kind): LoadedRow => ({
    name: `mtu-${kind}`,
    what: `the link of the exposing side carries 1280 bytes instead of 1500, ${kind === 'icmp' ? 'with ICMP' : 'without ICMP'}`,
    promise: { recoveryMs: 5_000, silenceMs: 5_000, newDuring: true },
    fault: async (world) => {
      const icmp = ['-p', 'icmp', '--icmp-type', 'fragmentation-needed', '-j', 'DROP']
      if (kind === 'no-icmp') inside(world.lab.middle, 'iptables', '-A', 'OUTPUT', ...icmp)
      world.lab.mtu(world.sites.b, 1_280)
      await pause(8_000)
      return () => world.lab.mtu(world.sites.b, 1_500)
    },
  })),
  ...(['beacon', 'registry'] as const).flatMap((server): LoadedRow[] => [
    {
      name: `${server}-gone`,
      what: `the ${server} cannot be reached for 15 s`,
      promise: { recoveryMs: 3_000, silenceMs: 2_000, newDuring: true },
      fault: (world) => cut(world, [towards(world, server)], 15_000),
    },
    {
      name: `${server}-gone-restart`,
      what: `the same, and the exposing gateway is killed and restarted meanwhile`,
      promise: { recoveryMs: 12_000, resets: true, localEnds: 'b' },
      fault: async (world) => {
        const heal = world.lab.drop(...towards(world, server))
        await world.b.restart()
        const ms = await world.client('mark').then(() => world.moving(12_000))
        world.notes.push(
          ms === undefined ? 'not reachable before the heal' : `reachable ${Math.round(ms)} ms after ready`,
        )
        return heal
      },
    },
  ]),
]

/** A share of all datagrams, at random. */
function chance(percent: number): readonly string[] {
  return [...DATAGRAMS, '-m', 'statistic', '--mode', 'random', '--probability', String(percent / 100)]
}

function duplicate(world: World, percent: number): void {
  for (const from of ['a', 'b'] as const)
    mangle(world, from, percent, ['-j', 'TEE', '--gateway', world.sites[from === 'a' ? 'b' : 'a'].address])
}

/** A second line to each gateway, narrow enough to queue; marked packets take it. */
function slowLines(world: World, percent: number): void {
  const { middle } = world.lab
  for (const [index, to] of (['a', 'b'] as const).entries()) {
    const { host, address } = world.sites[to]
    const [outer, inner, net, table] = [`slow${to}`, `slow${to}i`, `172.31.${index}`, String(100 + index)]
    inside(middle, 'ip', 'link', 'add', outer, 'type', 'veth', 'peer', 'name', inner, 'netns', host)
    inside(middle, 'ip', 'addr', 'add', `${net}.1/24`, 'dev', outer)
    inside(host, 'ip', 'addr', 'add', `${net}.2/24`, 'dev', inner)
    inside(middle, 'ip', 'link', 'set', outer, 'up')
    inside(host, 'ip', 'link', 'set', inner, 'up')
    for (const device of ['all', inner]) world.lab.sysctl(host, `net.ipv4.conf.${device}.rp_filter=0`)
    inside(
      middle,
      'tc',
      'qdisc',
      'add',
      'dev',
      outer,
      'root',
      'tbf',
      'rate',
      '2mbit',
      'burst',
      '2kb',
      'latency',
      '30ms',
    )
    inside(middle, 'ip', 'route', 'add', `${address}/32`, 'via', `${net}.2`, 'table', table)
    inside(middle, 'ip', 'rule', 'add', 'fwmark', table, 'table', table)
    mangle(world, to === 'a' ? 'b' : 'a', percent, ['-j', 'MARK', '--set-mark', table], 'PREROUTING')
  }
}

function mangle(world: World, from: Side, percent: number, what: readonly string[], chain = 'FORWARD'): void {
  const some = ['-m', 'statistic', '--mode', 'random', '--probability', String(percent / 100)]
  inside(world.lab.middle, 'iptables', '-t', 'mangle', '-A', chain, ...direct(world, from), ...some, ...what)
}

/** Matches packets from one side to the other. */
function direct(world: World, from: Side): readonly string[] {
  const { a, b } = world.sites
  const [source, destination] = from === 'a' ? [a, b] : [b, a]
  return [...DATAGRAMS, '-s', `${source.address}/24`, '-d', `${destination.address}/24`]
}

/** By their IP length. */
function sized(world: World, from: Side, bytes: string): readonly string[] {
  return [...direct(world, from), '-m', 'length', '--length', bytes]
}

function towards(world: World, server: 'beacon' | 'registry'): readonly string[] {
  return ['-d', world.sites.rv.address, '-p', server === 'beacon' ? 'udp' : 'tcp']
}

/** The middle drops everything that matches one of the rules for this long. */
export async function cut(world: World, rules: readonly (readonly string[])[], ms: number): Promise<Heal> {
  const heals = rules.map((rule) => world.lab.drop(...rule))
  await pause(ms)
  return () => {
    for (const heal of heals) heal()
  }
}

async function isolate(world: World, side: Side, ms: number): Promise<Heal> {
  const { address } = world.sites[side]
  return await cut(
    world,
    [
      ['-s', `${address}/24`],
      ['-d', `${address}/24`],
    ],
    ms,
  )
}
