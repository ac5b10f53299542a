/**
 * One seed is a whole overlay in virtual time: three to five gateways behind random NATs, a registry, a beacon, a
 * registered stranger; conversations between all of them; faults at random. Invariants are checked all along:
 *
 * - every byte that arrives is the byte that was sent there, in order; no more, none of another stream;
 * - one dial is accepted at most once; an end is seen only where one was made; `finished` means all bytes;
 * - no one is trusted but by configuration; a stranger opens nothing and is dialled by no one;
 * - no plaintext on any wire (the network refuses it); tables stay within the size of the cluster; no busy loop;
 * - within CALM_MS after the last fault every pair can talk, nothing stands still, and both sides have the same streams.
 *
 * The same seed gives the same run to the last datagram (`digest`).
 */
import { createHash } from 'node:crypto'
import { IDLE_VERIFY_MS } from '../../../src/proto/stream/constants.ts'
import type { SimNode } from '../simulator/sim-node.ts'
import type { SimStream } from '../simulator/sim-stream.ts'
import { SimOverlay, trusts } from '../simulator/overlay.ts'
import { behind, KINDS } from '../simulator/nat-world.ts'
import { Acceptance, Conversation, ECHO_PORT, Violation } from './conversation.ts'
import { Weather } from './faults.ts'

export interface Member {
  readonly name: string
  readonly kind: string // of its NAT
  readonly isOpen: boolean
  readonly host: string // its address in the network of the simulator
  readonly node: SimNode
}

export interface RunReport {
  readonly seed: number
  readonly virtualMs: number
  readonly streams: number
  readonly bytes: number
  readonly faults: number
  readonly digest: string
}

/** @throws Violation with the seed and what happened last. */
export function runCluster(seed: number, rounds = ROUNDS): RunReport {
  const cluster = new Cluster(seed)
  try {
    cluster.meet()
    cluster.trouble(rounds)
    cluster.calm()
  } catch (error) {
    const kinds = cluster.members.map(({ name, kind }) => `${name} ${kind}`).join(', ')
    const message = error instanceof Error ? error.message : String(error)
    throw new Violation(`seed ${seed}: ${message}\n  ${kinds}\n  ${cluster.trace.slice(-TRACE_LINES).join('\n  ')}`, {
      cause: error,
    })
  }
  return cluster.report()
}

export class Cluster {
  readonly sim: SimOverlay
  readonly members: readonly Member[]
  readonly stranger: SimNode
  readonly trace: string[] = []
  readonly #seed: number
  readonly #digest = createHash('sha256')
  readonly #conversations: Conversation[] = []
  readonly #accepted: Acceptance[] = []
  readonly #knocks: SimStream[] = []
  #pending: { readonly at: number; readonly act: () => void }[] = []
  #nextId = 1
  #faults = 0

  constructor(seed: number) {
    this.#seed = seed
    this.sim = new SimOverlay({ seed, path: { delayMs: 10, jitterMs: 5, lossRate: 0.01 } })
    const { random, network } = this.sim
    network.audits.push(({ atMs, from, to, bytes }) =>
      this.#digest.update(`${atMs} ${from.port} ${to.port} ${bytes.length};`),
    )
    const names = ['agent-a', 'agent-b', 'agent-c', 'agent-d', 'agent-e'].slice(0, 3 + random.below(3))
    const kinds = [...KINDS.keys()]
    this.members = names.map((name, index) => {
      const kind = random.chance(0.5) ? 'open' : kinds[random.below(kinds.length)]!
      const trust = names.filter((other) => other !== name)
      const { node } = behind(this.sim, name, index + 1, KINDS.get(kind), { trust })
      const isOpen = kind === 'open'
      return { name, kind, isOpen, node, host: isOpen ? node.endpoint.address : `198.18.0.${index + 1}` }
    })
    this.stranger = this.sim.node('stranger', { public: true })
    this.stranger.listen(ECHO_PORT)
    for (const { node } of this.members)
      node.listen(ECHO_PORT, (stream) => void this.#accepted.push(new Acceptance(stream, node)))
  }

  get hosts(): readonly string[] {
    return [...this.members.map(({ host }) => host), this.sim.beaconEndpoint.address]
  }

  /** Ends of faults; all of them come at once when the calm begins. */
  later(ms: number, act: () => void): void {
    this.#pending.push({ at: this.sim.world.nowMs + ms, act })
  }

  /** A registered node that no one trusts tries the door. */
  knock(member: Member): void {
    this.#knocks.push(this.stranger.dial(member.name, ECHO_PORT))
    if (member.node.nodeId !== 0) this.#knocks.push(this.stranger.dial(String(member.node.nodeId), ECHO_PORT))
  }

  meet(): void {
    const done = (): boolean =>
      this.members.every(({ node }) => this.members.every((other) => other.node === node || trusts(node, other.node)))
    if (!this.sim.world.run({ untilMs: this.sim.world.nowMs + MEET_MS, done }))
      throw new Violation(`no mutual trust within ${MEET_MS / 1_000} s`)
    this.sim.run(1_000)
  }

  trouble(rounds: number): void {
    const { random } = this.sim
    const weather = new Weather(random, ['registryForgets'])
    for (let round = 0; round < rounds; round++) {
      this.#endFaults(false)
      this.#talk()
      const struck = random.chance(0.35) ? weather.strike(this) : undefined
      if (struck !== undefined) this.#note(struck)
      this.sim.run(2_500 * random.next())
      this.check()
    }
  }

  calm(): void {
    this.#note('calm')
    this.#endFaults(true)
    for (const x of this.hosts) for (const y of this.hosts) this.sim.network.heal(x, y)
    this.sim.network.setDefaults({ delayMs: 10 })
    this.sim.run(CALM_MS)
    this.check()
    for (const from of this.members) for (const to of this.members) if (from !== to) this.#mustReach(from, to)
    this.sim.run(10_000)
    this.check()
    for (const conversation of this.#conversations) conversation.checkSettled()
    // Where every RST was lost and nothing else was, the accepting side finds out by asking.
    if (this.#unequalStreams() !== undefined) this.sim.run(IDLE_VERIFY_MS + 60_000)
    const unequal = this.#unequalStreams()
    if (unequal !== undefined) throw new Violation(unequal)
  }

  check(): void {
    for (const conversation of this.#conversations) conversation.check()
    const ids = new Set<number>()
    for (const accepted of this.#accepted) {
      accepted.check()
      if (accepted.id === undefined) continue
      if (ids.has(accepted.id)) throw new Violation(`stream ${accepted.id} was accepted twice`)
      ids.add(accepted.id)
    }
    this.#checkTrust()
    for (const { name, node } of this.members) {
      const { size } = node.state.peers
      if (node.alive && size > this.members.length + MAX_EXTRA_PEERS) throw new Violation(`${name} keeps ${size} peers`)
      if (node.spins > MAX_SPINS) throw new Violation(`${name} was busy for nothing ${node.spins} times`)
    }
  }

  report(): RunReport {
    return {
      seed: this.#seed,
      virtualMs: Math.round(this.sim.world.nowMs),
      streams: this.#conversations.length,
      bytes: this.#conversations.reduce((sum, { echoed }) => sum + echoed, 0),
      faults: this.#faults,
      digest: this.#digest.digest('hex').slice(0, 16),
    }
  }

  #talk(): void {
    const { random } = this.sim
    const open = this.#conversations.filter((one) => !one.stream.over)
    if (open.length < MAX_TALKS && random.chance(0.4)) {
      const from = random.below(this.members.length)
      const to = (from + 1 + random.below(this.members.length - 1)) % this.members.length
      if (this.members[from]!.node.alive) this.#dial(this.members[from]!, this.members[to]!)
    }
    for (const one of open) {
      if (one.shut || !one.isAlive || !random.chance(0.4)) continue
      one.write(random.below(random.chance(0.1) ? 200_000 : 5_000), 1 + random.below(65_536))
      if (random.chance(0.08)) one.shutdown()
      else if (random.chance(0.02)) one.reset()
    }
  }

  #dial(from: Member, to: Member): Conversation {
    const one = new Conversation(this.#nextId++, from.node, to.node, to.name)
    this.#conversations.push(one)
    return one
  }

  #endFaults(all: boolean): void {
    const now = this.sim.world.nowMs
    const due = this.#pending.filter(({ at }) => all || at <= now)
    this.#pending = this.#pending.filter((entry) => !due.includes(entry))
    for (const { act } of due) act()
  }

  #checkTrust(): void {
    const keys = new Set(this.members.map(({ node }) => node.identity.publicKeyBase64))
    for (const { name, node } of this.members) {
      const foreign = node.state.trust.trusted.find(({ publicKey }) => publicKey !== '' && !keys.has(publicKey))
      if (foreign !== undefined) throw new Violation(`${name} trusts a key that nobody configured`)
    }
    if (this.stranger.accepted.length > 0) throw new Violation('somebody talks to the stranger')
    if (this.#knocks.some(({ opened }) => opened > 0)) throw new Violation('somebody lets the stranger in')
  }

  #mustReach(from: Member, to: Member): void {
    const one = this.#dial(from, to)
    const { stream } = one
    const done = (): boolean => {
      one.check()
      return one.isComplete || stream.over
    }
    const way = `${from.name} (${from.kind}) → ${to.name} (${to.kind})`
    if (!this.sim.world.run({ untilMs: this.sim.world.nowMs + DIAL_MS, done }))
      throw new Violation(`${way}: a new dial neither works nor fails within ${DIAL_MS / 1_000} s of the calm`)
    if (stream.over) throw new Violation(`${way}: a new dial fails after the calm: ${stream.failure ?? stream.end}`)
    one.shutdown()
  }

  /** What one side has open the other has open: nothing is left behind for good. */
  #unequalStreams(): string | undefined {
    for (const [index, a] of this.members.entries())
      for (const b of this.members.slice(index + 1)) {
        const [here, there] = [streamsOf(a.node, b.node), streamsOf(b.node, a.node)]
        if (here.length === there.length) continue
        return `${a.name} has streams with ${b.name}: ${here.join()}; which has ${there.join()}`
      }
    return undefined
  }

  #note(text: string): void {
    this.#faults += 1
    this.trace.push(`${Math.round(this.sim.world.nowMs)} ms ${text}`)
  }
}

function streamsOf(node: SimNode, other: SimNode): string[] {
  return [...(node.peer(other)?.streams.values() ?? [])].map(
    ({ phase, end, dialled, localPort, remotePort }) =>
      `${dialled ? 'dialled' : 'accepted'} ${localPort}:${remotePort} ${phase} ${end ?? ''}`,
  )
}

const ROUNDS = 80
const MEET_MS = 120_000
/** Longer than the slowest promise of docs/reliability.md: the registry forgets a silent node, the NATs their mappings. */
const CALM_MS = 75_000
const DIAL_MS = 15_000
const MAX_TALKS = 10
const MAX_EXTRA_PEERS = 3 // the stranger, and ids that a peer had before
const MAX_SPINS = 1_000
const TRACE_LINES = 16
