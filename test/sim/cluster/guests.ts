/**
 * Two unknown nodes, and a member that issues tickets for them (src/gateway/tickets has the real ones; here a secret
 * admits one key, once, until it expires). Tickets are used late, twice, and by both at once. An admitted guest holds
 * one; of two at once exactly one is admitted; trust ends with its term, whatever restarted in the meantime.
 */
import { toBase64 } from '../../../src/base/bytes.ts'
import { formatAddress } from '../../../src/base/address.ts'
import type { TrustJudge } from '../../../src/proto/trust/requests.ts'
import type { SimOverlay } from '../simulator/overlay.ts'
import type { Random } from '../simulator/random.ts'
import type { SimNode } from '../simulator/sim-node.ts'
import { Violation } from './conversation.ts'
import type { Member } from './member.ts'

interface Ticket {
  readonly secret: string
  readonly expiresAt: number
  readonly termMs: number // trust ends this long after its use
  usedBy: string | undefined
  endsAt: number
  isOver: boolean // the host has revoked, and that is on its disk
}

export class Guests {
  readonly host: Member
  readonly nodes: readonly SimNode[]
  readonly #sim: SimOverlay
  readonly #tickets: Ticket[] = []

  constructor(sim: SimOverlay, host: Member) {
    this.#sim = sim
    this.host = host
    this.nodes = [sim.node(undefined), sim.node(undefined)]
    host.node.judge = this.#judge
    host.node.core.setJudge(this.#judge)
  }

  get keys(): readonly string[] {
    return this.nodes.map(({ identity }) => identity.publicKeyBase64)
  }

  /** Issues a ticket; one guest or both use it, at once or after it has expired. @returns what happened. */
  invite(random: Random): string {
    const ticket = this.#make(random.below(20_000), 5_000 + random.below(40_000))
    const both = random.chance(0.4)
    const first = random.below(2)
    this.#ask(this.nodes[first]!, ticket)
    if (both) this.#ask(this.nodes[1 - first]!, ticket)
    const again = random.chance(0.3) && this.#tickets.length > 1
    if (again) this.#ask(this.nodes[first]!, this.#tickets[random.below(this.#tickets.length)]!)
    return `${both ? 'both guests' : `guest ${first}`}${again ? ', and an old one again' : ''}`
  }

  /** What the gateway does continuously: ends trust whose term is over. */
  endTerms(): void {
    const { node } = this.host
    for (const ticket of this.#tickets) {
      if (ticket.usedBy === undefined || ticket.isOver || this.#sim.world.nowMs < ticket.endsAt) continue
      if (!node.alive || node.isPaused) continue
      const { usedBy } = ticket
      if (this.#tickets.some((other) => other.usedBy === usedBy && this.#sim.world.nowMs < other.endsAt)) {
        ticket.isOver = true // another ticket of the same guest continues
        continue
      }
      const entry = node.state.trust.trusted.find(({ publicKey }) => publicKey === usedBy)
      node.turn((now) => {
        if (entry !== undefined) node.core.revokeTrust(now, entry.nodeId)
        else if (usedBy !== undefined) node.core.revokeDisplaced({ kind: 'key', publicKey: usedBy })
      })
      node.whenTrustIsKept(() => (ticket.isOver = true))
    }
  }

  check(): void {
    const { node, name } = this.host
    if (!node.alive) return
    for (const key of this.keys) {
      if (!node.state.trust.trusted.some(({ publicKey }) => publicKey === key)) continue
      const mine = this.#tickets.filter(({ usedBy }) => usedBy === key)
      if (mine.length === 0) throw new Violation(`${name} trusts a guest that has no ticket`)
      if (mine.every(({ isOver }) => isOver)) throw new Violation(`${name} trusts a guest whose term is over`)
    }
  }

  /** Without faults, of two guests using one ticket at once exactly one is admitted, and stays until its term ends. */
  mustLetInOne(): void {
    const { node, name } = this.host
    for (const ticket of this.#tickets) ticket.endsAt = 0
    this.endTerms()
    this.#sim.run(5_000)
    const ticket = this.#make(60_000, 120_000)
    for (const guest of this.nodes) this.#ask(guest, ticket)
    const trusted = (): number =>
      node.state.trust.trusted.filter(({ publicKey }) => this.keys.includes(publicKey)).length
    if (!this.#sim.world.run({ untilMs: this.#sim.world.nowMs + 60_000, done: () => trusted() > 0 }))
      throw new Violation(`${name} admits no guest`)
    this.#sim.run(30_000)
    if (trusted() !== 1) throw new Violation(`${name} admits ${trusted()} guests by one ticket`)
    ticket.endsAt = 0
    this.endTerms()
    this.#sim.run(1_000)
    if (trusted() !== 0) throw new Violation(`${name} keeps a guest whose term is over`)
  }

  #make(validMs: number, termMs: number): Ticket {
    const expiresAt = this.#sim.world.nowMs + validMs
    const secret = `ticket-${this.#tickets.length}`
    const ticket: Ticket = { secret, expiresAt, termMs, usedBy: undefined, endsAt: Infinity, isOver: false }
    this.#tickets.push(ticket)
    const { node } = this.host
    if (node.alive) node.turn((now) => node.core.expectGuests(now + validMs))
    return ticket
  }

  #ask(guest: SimNode, { secret }: Ticket): void {
    const host = this.host.node
    if (!guest.alive || host.nodeId === 0) return
    const peer = formatAddress({ network: 0, node: host.nodeId })
    const request = { peer, node: host.nodeId, hostname: undefined, reason: secret, key: host.identity.publicKey }
    guest.turn((now) => guest.core.requestTrust(now, request))
  }

  readonly #judge: TrustJudge = ({ key, justification, trusted }) => {
    const ticket = this.#tickets.find(({ secret }) => secret === justification)
    if (ticket === undefined) return undefined
    const asker = toBase64(key)
    if (ticket.usedBy !== undefined) return ticket.usedBy === asker && trusted ? 'accept' : 'refuse'
    if (this.#sim.world.nowMs >= ticket.expiresAt) return 'refuse'
    ticket.usedBy = asker
    ticket.endsAt = this.#sim.world.nowMs + ticket.termMs
    return 'accept'
  }
}
