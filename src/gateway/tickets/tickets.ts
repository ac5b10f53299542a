/**
 * Tickets (docs/tickets.md): creating them, recognising proofs, and using tickets of others. Above: gateway.ts. Below:
 * tickets/book.ts (what is open, who came), `guests` of the overlay (trust without a person).
 */
import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { formatAddress } from '../../base/address.ts'
import { fromBase64, toBase64 } from '../../base/bytes.ts'
import { PilotError } from '../../base/errors.ts'
import { isLoopback, parseEndpoint } from '../../base/types.ts'
import type { NodeId } from '../../base/types.ts'
import type { TrustJudge } from '../../proto/trust/requests.ts'
import type { Logger } from '../../base/logger.ts'
import type { GuestDesk, Overlay, OverlayEvent } from '../../runtime/overlay.ts'
import { SparseLog } from '../service/sparse-log.ts'
import { fittingTicket, formatTicket, parseTicket, proofOf, SECRET_BYTES } from './text.ts'
import type { Ticket } from './text.ts'
import { opens, TicketBook } from './book.ts'
import type { OpenTicket } from './book.ts'
import type { GatewayEvent } from '../model/events.ts'
import type { ServiceKey } from '../model/service-key.ts'
import { listOf } from '../../runtime/net/endpoints.ts'
import type { GatewayOptions } from '../model/options.ts'
import type { ExposedRecord, OpenTicketRecord, TicketRecord, TicketUseRecord } from '../model/records.ts'

export type TicketNode = Pick<
  Overlay,
  'guests' | 'nodeId' | 'publicKey' | 'status' | 'trusted' | 'trustOf' | 'dropWish' | 'whenRegistered'
>

export interface TicketDeps {
  readonly node: TicketNode
  readonly options: Pick<GatewayOptions, 'stateDir' | 'registry' | 'registryFingerprint' | 'beacon'>
  readonly log: Logger
  readonly onEvent: (event: GatewayEvent) => void
}

type Outcome = 'approved' | 'rejected' | 'key_changed' | 'timeout'

export class Tickets {
  readonly #deps: TicketDeps
  readonly #book: TicketBook
  readonly #sparse: SparseLog
  readonly #waiting = new Map<NodeId, (outcome: Outcome) => void>()
  /** Keys of trusted nodes, base64: after a revocation they are not known elsewhere. */
  readonly #keys = new Map<NodeId, string>()

  private constructor(deps: TicketDeps, book: TicketBook) {
    this.#deps = deps
    this.#book = book
    this.#sparse = new SparseLog(deps.log)
  }

  static async open(deps: TicketDeps): Promise<Tickets> {
    const { node, options } = deps
    const tickets = new Tickets(
      deps,
      await TicketBook.load(join(options.stateDir, 'tickets.json'), fromBase64(node.publicKey)!),
    )
    if (node.guests === null) return tickets
    await tickets.#noteKeys()
    for (const { key, isOurs } of tickets.#book.limited) node.guests.mark(fromBase64(key)!, isOurs)
    node.guests.judge((asker) => tickets.#judge(asker))
    node.guests.expect(tickets.#openForMs)
    return tickets
  }

  /** Of all that are open. */
  list(): readonly OpenTicketRecord[] {
    return this.#book.open(Date.now() / 1_000).map(recordOf)
  }

  /** @param which id or label. @throws PilotError NOT_FOUND, STATE_UNWRITABLE. */
  cancel(which: string): readonly OpenTicketRecord[] {
    const cancelled = this.list().filter(({ id, label }) => id === which || label === which)
    if (cancelled.length === 0)
      throw new PilotError(
        'NOT_FOUND',
        `there is no open ticket "${which}"`,
        { which },
        undefined,
        '`pilotgate invite list` shows the open ones. A used one is ended with `pilotgate trust revoke`.',
      )
    this.#book.cancel((ticket) => cancelled.some(({ id }) => id === idOf(ticket)))
    return cancelled
  }

  /** The exposure has ended: its open tickets lead nowhere. */
  withdraw(service: ServiceKey): void {
    try {
      if (this.#book.cancel((ticket) => opens(ticket, service)) > 0)
        this.#deps.log.info({ expose: service.name }, 'the open tickets of an exposure were withdrawn')
    } catch (error) {
      this.#deps.log.error({ expose: service.name, reason: String(error) }, 'could not withdraw the open tickets')
    }
  }

  /** Open ones for an exposure. */
  countOf(service: ServiceKey): number {
    return this.#book.open(Date.now() / 1_000).filter((ticket) => opens(ticket, service)).length
  }

  /** What a person here calls a guest. */
  labelOf(node: NodeId, service?: ServiceKey): string | undefined {
    const key = this.#book.hasGuests ? this.#keys.get(node) : undefined
    return key === undefined ? undefined : this.#book.labelOf(key, service)
  }

  /** @param exposes what runs. @param label of the one who gets it. */
  async invite(
    exposes: readonly ExposedRecord[],
    service: string | undefined,
    forMs: number,
    label?: string,
  ): Promise<TicketRecord> {
    const { node, options } = this.#deps
    const guests = this.#guests
    const expose = choose(exposes, service)
    if (!(await node.whenRegistered(0)))
      throw new PilotError(
        'REGISTRY_UNREACHABLE',
        'a ticket needs the registry to lead to this node, and the registry has not answered yet',
      )
    const secret = randomBytes(SECRET_BYTES)
    const now = Date.now()
    const expires = Math.ceil((now + forMs) / 1_000)
    const ticket = formatTicket({
      expires,
      node: node.nodeId,
      key: fromBase64(node.publicKey)!,
      protocol: expose.protocol,
      port: expose.port,
      service: expose.name,
      registry: fittingTicket(options.registry),
      fingerprint: fingerprintOf(options),
      beacon: fittingTicket(options.beacon),
      secret,
    })
    const { name, port, protocol, target } = expose
    const open = { secret: toBase64(secret), service: name, port, protocol, target, label, expires }
    this.#book.add(open, now / 1_000)
    guests.expect(this.#openForMs)
    this.#deps.log.info({ expose: expose.name, forMs }, 'a ticket was created')
    return {
      ticket,
      ...recordOf(open),
      registry: options.registry,
      loopback: isLocal(options.registry),
    }
  }

  async redeem(text: string): Promise<TicketUseRecord> {
    const { node, options } = this.#deps
    const guests = this.#guests
    const ticket = parseTicket(text)
    const peer = formatAddress({ network: 0, node: ticket.node })
    const key = toBase64(ticket.key)
    const known = (await node.trusted()).find(({ nodeId }) => nodeId === ticket.node)
    this.#checkUsable(ticket, peer, known?.publicKey)
    if (!(await node.whenRegistered(REGISTRATION_MS)))
      throw new PilotError(
        'REGISTRY_UNREACHABLE',
        `${options.registry} does not answer, and a ticket is presented through it`,
      )
    if (known === undefined) this.#book.restrict(ticket.key) // before it is trusted
    const hasExpired = ticket.expires * 1_000 <= Date.now() // by our clock, which may differ from the inviter's
    const outcome = await this.#show(
      guests,
      ticket.node,
      ticket.key,
      proofOf(ticket.secret, fromBase64(node.publicKey)!, ticket.key),
      hasExpired ? EXPIRED_ANSWER_MS : ANSWER_MS,
    )
    if (outcome === 'approved') {
      if (known === undefined) guests.mark(ticket.key, false)
      return {
        peer,
        nodeId: ticket.node,
        publicKey: key,
        service: ticket.service,
        port: ticket.port,
        protocol: ticket.protocol,
      }
    }
    await node.dropWish(peer)
    if (known === undefined) this.#book.forget(key)
    if (hasExpired && outcome !== 'key_changed')
      throw new PilotError(
        'TICKET_EXPIRED',
        `the ticket expired at ${new Date(ticket.expires * 1_000).toISOString()}, and ${peer} does not take it`,
        { peer },
      )
    throw this.#failure(outcome, peer, ticket)
  }

  /** @param knownKey of the node, if it is trusted already. @throws PilotError USAGE, CONFLICT. */
  #checkUsable(ticket: Ticket, peer: string, knownKey: string | undefined): void {
    const key = toBase64(ticket.key)
    if (key === this.#deps.node.publicKey)
      throw new PilotError(
        'USAGE',
        'this ticket was made here; it is meant for another node',
        {},
        undefined,
        'Use it on another machine, or with another gateway on this one: `pilotgate join TICKET --state-dir DIR`.',
      )
    if (knownKey !== key && this.#isElsewhere(ticket)) throw this.#elsewhere(ticket)
    if (knownKey !== undefined && knownKey !== key)
      throw new PilotError(
        'CONFLICT',
        `node ${ticket.node} is trusted here with a key other than the one in the ticket`,
        { peer },
        undefined,
        `If the ticket is right, \`pilotgate trust revoke ${peer}\` first.`,
      )
    if (this.#waiting.has(ticket.node))
      throw new PilotError(
        'CONFLICT',
        `another ticket of ${peer} is being used at the moment`,
        { peer },
        undefined,
        'Wait until that has finished.',
      )
  }

  /** Certainly another registry: each is known by its certificate, or by an address that means one host everywhere. */
  #isElsewhere({ registry, fingerprint }: Ticket): boolean {
    const { options } = this.#deps
    const own = fingerprintOf(options)
    if (own !== undefined && fingerprint !== undefined) return own !== fingerprint
    return isLocal(registry) && isLocal(options.registry) && portOf(registry) !== portOf(options.registry)
  }

  #elsewhere(ticket: Ticket): PilotError {
    const { registry } = this.#deps.options
    return new PilotError(
      'CONFLICT',
      `the ticket is for the rendezvous at ${ticket.registry}, and this gateway is registered at ${registry}`,
      { registry, wanted: ticket.registry },
      undefined,
      'Run a second gateway for it: `pilotgate join TICKET --state-dir DIR`, with a folder of its own.',
    )
  }

  #failure(outcome: Exclude<Outcome, 'approved'>, peer: string, ticket: Ticket): PilotError {
    if (outcome === 'rejected')
      return new PilotError(
        'TICKET_USED',
        `${peer} refuses the ticket: it has been used, or it was made by an earlier run of that node`,
        { peer },
      )
    if (!hasCommon(this.#deps.options.registry, ticket.registry)) return this.#elsewhere(ticket)
    if (outcome === 'key_changed')
      return new PilotError(
        'TICKET_INVALID',
        `${peer} has a key other than the one in the ticket`,
        { peer },
        undefined,
        'Do not continue unless you know why: ask for another ticket, over a channel that you trust.',
      )
    return new PilotError(
      'TIMED_OUT',
      `${peer} did not answer within ${ANSWER_MS / 1_000} s`,
      { peer },
      undefined,
      'Is the gateway that made the ticket running? Is this one registered with the same registry?',
    )
  }

  /** Trust events of the overlay. */
  onTrust({ node, state }: Extract<OverlayEvent, { kind: 'trust' }>): void {
    if (state === 'approved') void this.#noteKeys().catch(() => {})
    if (state === 'revoked') {
      const key = this.#keys.get(node)
      this.#keys.delete(node)
      if (key !== undefined) this.#forget(key)
    }
    if (state === 'approved' || state === 'rejected' || state === 'key_changed') this.#waiting.get(node)?.(state)
  }

  #forget(key: string): void {
    try {
      this.#book.forget(key)
    } catch (error) {
      this.#deps.log.error({ reason: String(error) }, 'could not save the tickets')
    }
  }

  /** A node's access to an exposure; undefined: no ticket is involved. */
  async standing(node: NodeId, service: ServiceKey): Promise<'granted' | 'restricted' | undefined> {
    if (!this.#book.hasGuests) return undefined
    const entry = await this.#deps.node.trustOf(node)
    return entry === undefined ? undefined : this.#book.standing(entry.publicKey, service)
  }

  async stop(): Promise<void> {
    this.#deps.node.guests?.judge(undefined)
    for (const tell of this.#waiting.values()) tell('timeout')
  }

  #judge({ node, key, justification, trusted }: Parameters<TrustJudge>[0]): ReturnType<TrustJudge> {
    let redeemed: ReturnType<TicketBook['redeem']>
    try {
      redeemed = this.#book.redeem(key, justification, trusted, Date.now() / 1_000)
    } catch (error) {
      this.#deps.log.error(
        { nodeId: node, reason: String(error) },
        'a valid ticket was not honoured: could not save that it is used',
      )
      return undefined // like any other request: the ticket stays open, the guest asks again, a person may decide
    }
    if (redeemed === undefined) return undefined
    const peer = formatAddress({ network: 0, node })
    if (redeemed.verdict === 'refuse')
      this.#sparse.warn(
        'ticket',
        { peer, nodeId: node, code: 'TICKET_USED' },
        'refused a ticket that is used, expired or not ours',
      )
    else if (redeemed.fresh) {
      this.#deps.log.info({ peer, nodeId: node, expose: redeemed.service }, 'a ticket was used')
      const { service, label } = redeemed
      this.#keys.set(node, toBase64(key))
      this.#deps.onEvent({
        event: 'ticket',
        state: 'used',
        service,
        peer,
        nodeId: node,
        ...(label !== undefined && { label }),
      })
      this.#guests.expect(this.#openForMs)
    }
    return redeemed.verdict
  }

  #show(guests: GuestDesk, node: NodeId, key: Uint8Array, proof: string, waitMs: number): Promise<Outcome> {
    return new Promise((resolve) => {
      const done = (outcome: Outcome): void => {
        clearTimeout(timer)
        this.#waiting.delete(node)
        resolve(outcome)
      }
      const timer = setTimeout(() => done('timeout'), waitMs)
      this.#waiting.set(node, done)
      guests.ask(node, key, proof)
    })
  }

  async #noteKeys(): Promise<void> {
    for (const { nodeId, publicKey } of await this.#deps.node.trusted()) this.#keys.set(nodeId, publicKey)
  }

  get #openForMs(): number {
    return this.#book.openUntil * 1_000 - Date.now()
  }

  get #guests(): GuestDesk {
    const { guests } = this.#deps.node
    if (guests === null)
      throw new PilotError(
        'USAGE',
        'tickets cannot be used with --daemon: a daemon decides on its own whom it trusts',
        {},
        undefined,
        'Run without --daemon, or ask for trust with `pilotgate trust request PEER`.',
      )
    return guests
  }
}

function recordOf(ticket: OpenTicket): OpenTicketRecord {
  const { service, port = 0, protocol = 'tcp', label, expires } = ticket
  const ends = new Date(expires * 1_000).toISOString()
  return { id: idOf(ticket), service, port, protocol, ...(label !== undefined && { label }), expires: ends }
}

/** Names a ticket without its secret. */
function idOf({ secret }: Pick<OpenTicket, 'secret'>): string {
  return createHash('sha256').update(`pilot-ticket-id:${secret}`).digest('hex').slice(0, ID_CHARS)
}

function choose(exposes: readonly ExposedRecord[], service: string | undefined): ExposedRecord {
  const names = exposes.map(({ name }) => name).join(', ')
  if (service === undefined && exposes.length > 1)
    throw new PilotError(
      'USAGE',
      `a ticket opens one exposure, and there are several: ${names}`,
      {},
      undefined,
      'Choose with --service NAME.',
    )
  const expose = service === undefined ? exposes[0] : exposes.find(({ name }) => name === service)
  if (expose !== undefined) return expose
  if (service === undefined)
    throw new PilotError(
      'NOT_FOUND',
      'there is no exposure that a ticket could open',
      {},
      undefined,
      '`pilotgate share 3000` exposes port 3000 and prints a ticket for it.',
    )
  throw new PilotError(
    'NOT_FOUND',
    `there is no exposure "${service}"`,
    { service },
    undefined,
    exposes.length === 0 ? 'There are none.' : `There are ${names}.`,
  )
}

/** `tls://` without a fingerprint is checked by names and authorities, as here. */
function fingerprintOf({ registryFingerprint }: Pick<GatewayOptions, 'registryFingerprint'>): string | undefined {
  return registryFingerprint?.replaceAll(':', '').toLowerCase()
}

function isLocal(registry: string): boolean {
  const host = parseEndpoint(bare(registry))?.address ?? ''
  return host === 'localhost' || isLoopback(host)
}

function portOf(registry: string): number | undefined {
  return parseEndpoint(bare(registry))?.port
}

/** Of several addresses of one rendezvous, one is enough. */
function hasCommon(registry: string, other: string): boolean {
  return listOf(registry).some((one) => listOf(other).map(bare).includes(bare(one)))
}

function bare(registry: string): string {
  return listOf(registry)[0]!.replace(/^tls:\/\//, '')
}

const ID_CHARS = 8
const REGISTRATION_MS = 5_000
/**
 * The inviter polls the registry every 500 ms, or every 5 s if the ticket is older than ten minutes; plus a slow path.
 */
const ANSWER_MS = 25_000
/** For a ticket that has expired by our clock: the inviter's clock decides, but rarely differs. */
const EXPIRED_ANSWER_MS = 5_000
