/**
 * One seed is a whole overlay in virtual time: three to five gateways behind random NATs, in some seeds a plain (Go-shaped)
 * daemon, an impostor, guests with tickets; a registry on a disk, a beacon, a registered stranger; conversations between
 * all of them; faults at random. Invariants are checked after every round:
 *
 * - every byte that arrives was sent there, in order; none extra, none from another stream;
 * - one dial is accepted at most once, and by the owner of the key that its name was bound to; an end is seen only if
 * one
 *   was made; `finished` means all bytes;
 * - trust comes only from configuration, a ticket or a person, and is gone once its revocation is acknowledged,
 * whatever restarts; a stranger opens nothing and is never dialled; an impostor gets no stream packet;
 * - what the registry or a trust file acknowledged survives a crash: an id changes only if the registry forgot it;
 * - no plaintext on any wire (the network refuses it); tables, timers, events and turns stay within bounds.ts;
 * - in the calm after the last fault every pair can connect, nothing is stalled, and both sides have the same streams.
 *
 * The same seed gives the same run to the last datagram (`digest`). Each round has its own random source, so a run
 * without one round's fault (`without`) keeps the others: shrink.ts.
 */
import { createHash } from 'node:crypto'
import { IDLE_VERIFY_MS } from '../../../src/proto/stream/constants.ts'
import { SimGoNode } from '../simulator/sim-go-node.ts'
import type { SimNode } from '../simulator/sim-node.ts'
import type { SimStream } from '../simulator/sim-stream.ts'
import { SimOverlay, trusts } from '../simulator/overlay.ts'
import { behind, KINDS } from '../simulator/nat-world.ts'
import { Random } from '../simulator/random.ts'
import { Bounds } from './bounds.ts'
import { Acceptance, Conversation, ECHO_PORT, PLAIN_ECHO_PORT, PlainCall, Violation } from './conversation.ts'
import { Weather } from './faults.ts'
import { Guests } from './guests.ts'
import { Impostor } from './impostor.ts'
import type { Member } from './member.ts'
import { Revocations, bytesBetween } from './revocations.ts'

export interface RunOptions {
  readonly rounds?: number | undefined
  /** Rounds whose fault is skipped. */
  readonly without?: ReadonlySet<number>
}

export interface RunReport {
  readonly seed: number
  readonly virtualMs: number
  readonly streams: number
  readonly bytes: number
  readonly faults: number
  readonly digest: string
  /** Highest counts of any node: bounds.ts. */
  readonly most: Readonly<Record<string, number>>
}

/** What happened in a failed run: the rounds that had a fault, in order. */
export class Failure extends Violation {
  readonly struck: readonly number[]

  constructor(message: string, struck: readonly number[], cause: unknown) {
    super(message, { cause })
    this.struck = struck
  }
}

/** @throws Failure with the seed and what happened last. */
export function runCluster(seed: number, options: RunOptions = {}): RunReport {
  const cluster = new Cluster(seed)
  try {
    cluster.meet()
    cluster.trouble(options.rounds ?? ROUNDS, options.without ?? new Set())
    cluster.calm()
  } catch (error) {
    const kinds = cluster.members.map(({ name, kind }) => `${name} ${kind}`).join(', ')
    const message = error instanceof Error ? error.message : String(error)
    throw new Failure(
      `seed ${seed}: ${message}\n  ${kinds}\n  ${cluster.trace.slice(-TRACE_LINES).join('\n  ')}`,
      cluster.struck,
      error,
    )
  }
  return cluster.report()
}

export class Cluster {
  readonly sim: SimOverlay
  readonly members: readonly Member[]
  readonly plain: readonly SimGoNode[]
  readonly stranger: SimNode
  readonly impostor: Impostor | undefined
  readonly guests: Guests | undefined
  readonly revocations: Revocations
  readonly bounds: Bounds
  readonly trace: string[] = []
  /** Rounds that had a fault. */
  readonly struck: number[] = []
  readonly #seed: number
  readonly #digest = createHash('sha256')
  readonly #script: Random
  readonly #conversations: Conversation[] = []
  readonly #calls: PlainCall[] = []
  readonly #accepted: Acceptance[] = []
  readonly #knocks: SimStream[] = []
  readonly #ids = new Map<Member, number>()
  /** Nodes the registry has forgotten since their last registration. */
  readonly #forgotten = new Set<Member>()
  #pending: { readonly at: number; readonly act: () => void }[] = []
  #nextId = 1
  #sweptAt = 0
  #isNamesTaken = false

  constructor(seed: number) {
    this.#seed = seed
    this.sim = new SimOverlay({ seed, path: { delayMs: 10, jitterMs: 5, lossRate: 0.01 } })
    const random = (this.#script = new Random(seed ^ SCRIPT))
    this.sim.network.audits.push(({ atMs, from, to, bytes }) =>
      this.#digest.update(`${atMs} ${from.port} ${to.port} ${bytes.length};`),
    )
    const names = ['agent-a', 'agent-b', 'agent-c', 'agent-d', 'agent-e'].slice(0, 3 + random.below(3))
    const hasPlain = random.chance(0.25)
    const rekeyMs = random.chance(0.5) ? 1_000 + random.below(30_000) : undefined
    const kinds = [...KINDS.keys()]
    this.members = names.map((name, index) => {
      const kind = random.chance(0.5) ? 'open' : kinds[random.below(kinds.length)]!
      const trust = [...names.filter((other) => other !== name), ...(hasPlain ? [PLAIN_NAME] : [])]
      const { node } = behind(this.sim, name, index + 1, KINDS.get(kind), { trust, rekeyMs })
      const isOpen = kind === 'open'
      return { name, kind, isOpen, node, host: isOpen ? node.endpoint.address : `198.18.0.${index + 1}` }
    })
    this.stranger = this.sim.node('stranger', { public: true })
    this.stranger.listen(ECHO_PORT)
    this.plain = hasPlain ? [new SimGoNode(this.sim, 1, PLAIN_NAME, random.chance(0.5))] : []
    this.impostor = random.chance(0.4) ? new Impostor(this.sim) : undefined
    this.guests = random.chance(0.25) ? new Guests(this.sim, this.members[random.below(names.length)]!) : undefined
    this.revocations = new Revocations((by, of) => bytesBetween(this.#conversations, this.#accepted, by, of))
    this.bounds = new Bounds(names.length + 1 + this.plain.length + (this.impostor ? 1 : 0) + (this.guests ? 2 : 0))
    for (const { node } of this.members)
      node.listen(ECHO_PORT, (stream) => void this.#accepted.push(new Acceptance(stream, node)))
  }

  get hosts(): readonly string[] {
    const plain = this.plain.map(({ endpoint }) => endpoint.address)
    return [...this.members.map(({ host }) => host), ...plain, this.sim.beaconEndpoint.address]
  }

  /** Ends of faults; all run at once when the calm begins. */
  readonly later = (ms: number, act: () => void): void => {
    this.#pending.push({ at: this.sim.world.nowMs + ms, act })
  }

  /** A registered node that no one trusts tries to connect. */
  knock(member: Member): void {
    if (this.impostor === undefined) this.#knocks.push(this.stranger.dial(member.name, ECHO_PORT))
    if (member.node.nodeId !== 0) this.#knocks.push(this.stranger.dial(String(member.node.nodeId), ECHO_PORT))
  }

  /** The registry forgets: ids may be reassigned from now on, and names go to the first node that asks. */
  onForgotten(): void {
    for (const member of this.members) this.#forgotten.add(member)
    this.#isNamesTaken = true
  }

  meet(): void {
    const { world } = this.sim
    const isRegistered = (): boolean => this.members.every(({ node }) => node.registered)
    if (!world.run({ untilMs: world.nowMs + 10_000, done: isRegistered })) throw new Violation('not registered')
    for (const go of this.plain) for (const { node } of this.members) go.registration.requestHandshake(node.nodeId)
    const done = (): boolean =>
      this.members.every(
        ({ node }) =>
          this.members.every((other) => other.node === node || trusts(node, other.node)) &&
          this.plain.every((go) => go.node.trusted.has(node.nodeId) && node.state.trust.isTrusted(go.nodeId)),
      )
    if (!world.run({ untilMs: world.nowMs + MEET_MS, done }))
      throw new Violation(`no mutual trust within ${MEET_MS / 1_000} s`)
    this.sim.run(1_000)
  }

  trouble(rounds: number, without: ReadonlySet<number>): void {
    const weather = new Weather(this.#script)
    for (let round = 0; round < rounds; round++) {
      const random = new Random((this.#seed ^ SCRIPT) + (round + 1) * 1_000_003)
      this.#endFaults(false)
      this.#talk(random)
      const isStruck = random.chance(0.35)
      if (isStruck && !without.has(round)) this.#strike(weather, round, random)
      this.sim.run(2_500 * new Random(this.#seed + round * 7_919).next())
      this.guests?.endTerms()
      this.#sweep()
      this.check()
    }
  }

  calm(): void {
    this.#note('calm')
    this.#endFaults(true)
    for (const x of this.hosts) for (const y of this.hosts) this.sim.network.heal(x, y)
    this.sim.network.setDefaults({ delayMs: 10 })
    this.impostor?.giveUp()
    this.revocations.giveAgain()
    this.#settle(this.#isNamesTaken || this.impostor !== undefined || this.revocations.count > 0)
    this.check()
    for (const from of this.members) for (const to of this.members) if (from !== to) this.#mustReach(from, to)
    // A plain daemon accepts key exchanges over the first kind of path only (tunnel.md §4.3), and sends its own once,
    // without punching: behind a NAT a restart or a new mapping may end that for good.
    const open = this.members.filter(({ isOpen }) => isOpen)
    for (const go of this.plain) for (const member of open) this.#mustReachPlain(go, member)
    this.guests?.mustLetInOne()
    this.sim.run(10_000)
    this.check()
    // If only the RSTs were lost, the other side finds out by probing.
    if (this.#unequalStreams() !== undefined) this.sim.run(IDLE_VERIFY_MS + 60_000)
    const unequal = this.#unequalStreams()
    for (const conversation of this.#conversations) conversation.checkSettled()
    if (unequal !== undefined) throw new Violation(unequal)
  }

  check(): void {
    for (const conversation of this.#conversations) conversation.check()
    for (const call of this.#calls) call.check()
    this.#checkAccepted()
    this.#checkTrust()
    this.revocations.check()
    this.guests?.check()
    this.impostor?.check(this.stranger.nodeId)
    const open = this.#conversations.filter(({ stream }) => !stream.over)
    for (const member of this.members) {
      const { name, node } = member
      const talks = open.filter(({ from, to }) => from === node || to === node).length
      this.bounds.check(name, node, talks + this.#calls.length)
      const before = this.#ids.get(member)
      if (!node.alive || !node.registered) continue
      if (before !== node.nodeId && before !== undefined && !this.#forgotten.delete(member))
        throw new Violation(`${name} had the id ${before}, and the registry gave it ${node.nodeId}`)
      this.#ids.set(member, node.nodeId)
    }
  }

  report(): RunReport {
    return {
      seed: this.#seed,
      virtualMs: Math.round(this.sim.world.nowMs),
      streams: this.#conversations.length + this.#calls.length,
      bytes: this.#conversations.reduce((sum, { echoed }) => sum + echoed, 0),
      faults: this.struck.length,
      digest: this.#digest.digest('hex').slice(0, 16),
      most: this.bounds.most,
    }
  }

  #strike(weather: Weather, round: number, random: Random): void {
    const struck = weather.strike(this, random)
    if (struck === undefined) return
    this.struck.push(round)
    this.#note(`(round ${round}) ${struck}`)
  }

  #settle(isLong: boolean): void {
    for (let ms = 0; ms < (isLong ? LONG_CALM_MS : CALM_MS); ms += SWEEP_MS / 4) {
      this.sim.run(SWEEP_MS / 4)
      this.#sweep()
    }
  }

  #talk(random: Random): void {
    const open = this.#conversations.filter((one) => !one.stream.over)
    if (open.length < MAX_TALKS && random.chance(0.4)) {
      const from = this.members[random.below(this.members.length)]!
      const others = [...this.members.filter((other) => other !== from), ...this.plain]
      const to = others[random.below(others.length)]!
      if (from.node.alive && this.#isBound(from, to)) this.#dial(from, to)
    }
    const calls = this.#calls.filter((call) => !call.isOver)
    if (this.plain.length > 0 && calls.length < 2 && random.chance(0.2)) this.#call(random)
    for (const call of calls) {
      if (random.chance(0.4)) call.write(random.below(3_000))
      if (random.chance(0.05)) call.close()
    }
    for (const one of open) {
      if (one.shut || !one.isAlive || !random.chance(0.4)) continue
      one.write(random.below(random.chance(0.1) ? 200_000 : 5_000), 1 + random.below(65_536))
      if (random.chance(0.08)) one.shutdown()
      else if (random.chance(0.02)) one.reset()
    }
  }

  #dial(from: Member, to: Member | SimGoNode): Conversation {
    const one =
      'name' in to
        ? new Conversation(this.#nextId++, from.node, to.node, to.name)
        : new Conversation(this.#nextId++, from.node, to, String(to.nodeId), PLAIN_ECHO_PORT)
    this.#conversations.push(one)
    return one
  }

  /** A name that is not, or no longer, trusted means the node that holds it: dialling it may reach an impostor. */
  #isBound(from: Member, to: Member | SimGoNode): boolean {
    if (this.impostor === undefined || !('name' in to)) return true
    return from.node.state.trust.meaningOf(to.name)?.kind === 'key'
  }

  #call(random: Random): void {
    const member = this.members[random.below(this.members.length)]!
    const go = this.plain[0]!
    if (member.node.nodeId !== 0) this.#calls.push(new PlainCall(this.#nextId++, go, member.node))
  }

  #endFaults(all: boolean): void {
    const now = this.sim.world.nowMs
    const due = this.#pending.filter(({ at }) => all || at <= now)
    this.#pending = this.#pending.filter((entry) => !due.includes(entry))
    for (const { act } of due) act()
  }

  #sweep(): void {
    if (this.sim.world.nowMs - this.#sweptAt < SWEEP_MS) return
    this.#sweptAt = this.sim.world.nowMs
    this.sim.registry.sweep()
  }

  /** A dial is accepted once, and by the right node. */
  #checkAccepted(): void {
    const goals = new Map([...this.#conversations, ...this.#calls].map(({ id, to }) => [id, to]))
    const ids = new Set<number>()
    for (const accepted of this.#accepted) {
      accepted.check()
      const { id, node } = accepted
      if (id === undefined) continue
      if (ids.has(id)) throw new Violation(`stream ${id} was accepted twice`)
      ids.add(id)
      if (goals.get(id) === node) continue
      const about = this.#conversations.find((one) => one.id === id)?.about ?? `stream ${id} of the plain peer`
      throw new Violation(`${about} ended at ${node.options.hostname}`)
    }
  }

  #checkTrust(): void {
    const keys = new Set([
      ...this.members.map(({ node }) => node.identity.publicKeyBase64),
      ...this.plain.map(({ node }) => node.identity.publicKeyBase64),
    ])
    for (const { name, node } of this.members) {
      const guests = node === this.guests?.host.node ? this.guests.keys : []
      const foreign = node.state.trust.trusted.find(
        ({ publicKey }) => publicKey !== '' && !keys.has(publicKey) && !guests.includes(publicKey),
      )
      if (foreign !== undefined) throw new Violation(`${name} trusts a key that was never configured`)
    }
    if (this.stranger.accepted.length > 0) throw new Violation('a member talks to the stranger')
    if (this.#knocks.some(({ opened }) => opened > 0)) throw new Violation('a member admits the stranger')
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

  /**
   * In both directions, one dial per second: a plain daemon notices our restart late and does not follow an address
   * change.
   */
  #mustReachPlain(go: SimGoNode, from: Member): void {
    const failures: string[] = []
    let one = this.#dial(from, go)
    this.#mustComplete(failures, `${from.name} does not reach the plain peer after the calm`, () => {
      one.check()
      if (one.stream.over && !one.isComplete) {
        failures.push(one.stream.failure ?? String(one.stream.end))
        one = this.#dial(from, go)
      }
      return one.isComplete
    })
    one.reset()
    const dial = (): PlainCall => {
      const made = new PlainCall(this.#nextId++, go, from.node)
      this.#calls.push(made)
      return made
    }
    let call = dial()
    this.#mustComplete(failures, `the plain peer does not reach ${from.name} after the calm`, () => {
      call.check()
      if (call.isOver && !call.isComplete) call = dial()
      return call.isComplete
    })
    call.close()
  }

  #mustComplete(failures: readonly string[], otherwise: string, isComplete: () => boolean): void {
    for (let ms = 0; ms < PLAIN_DIAL_MS; ms += 1_000) {
      this.sim.run(1_000)
      if (isComplete()) return
    }
    throw new Violation(`${otherwise}: ${failures.slice(-3).join()}`)
  }

  /** Both sides have the same streams open: nothing is left behind for good. */
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
    this.trace.push(`${Math.round(this.sim.world.nowMs)} ms ${text}`)
  }
}

function streamsOf(node: SimNode, other: SimNode): string[] {
  return [...(node.peer(other)?.streams.values() ?? [])].map(
    ({ phase, end, dialled, localPort, remotePort }) =>
      `${dialled ? 'dialled' : 'accepted'} ${localPort}:${remotePort} ${phase} ${end ?? ''}`,
  )
}

const SCRIPT = 0x5eed
const PLAIN_NAME = 'go-a'
const ROUNDS = 80
const MEET_MS = 180_000
/** Longer than the slowest promise of docs/reliability.md: the registry forgets a silent node, the NATs their mappings. */
const CALM_MS = 75_000
/**
 * A name held by another node is requested again after a minute (HOSTNAME_AGAIN_MS), and peers look up its owner only
 * after that.
 */
const LONG_CALM_MS = 165_000
const SWEEP_MS = 60_000
const DIAL_MS = 15_000
const PLAIN_DIAL_MS = 120_000
const MAX_TALKS = 10
const TRACE_LINES = 20
