/**
 * The open tickets, and the guests with what their ticket opened. Kept in `tickets.json` of the state folder, mode
 * 0600; an open ticket survives a restart. No overlay here; above: tickets.ts.
 */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { fromBase64, toBase64 } from '../../base/bytes.ts'
import { PilotError } from '../../base/errors.ts'
import { isSameService, type ServiceKey } from '../model/service-key.ts'
import { writeFileAtomicallyNow } from '../../runtime/files/atomic.ts'
import { isProof, proofOf, sameProof } from './text.ts'

/** Absent in files of older versions: then only the name counts. */
const Made = { port: z.number().optional(), protocol: z.enum(['tcp', 'udp']).optional(), target: z.string().optional() }
const Open = z.object({
  secret: z.string(),
  service: z.string(),
  ...Made,
  label: z.string().optional(),
  expires: z.number(),
})
const Guest = z.object({
  key: z.string(),
  limited: z.boolean(),
  used: z.array(z.object({ service: z.string(), ...Made, label: z.string().optional(), proof: z.string() })),
})
const Book = z.object({ version: z.literal(1), open: z.array(Open), guests: z.array(Guest) })

/** The exposure that a ticket opens. */
interface Opened {
  readonly service: string // its name
  readonly port?: number | undefined
  readonly protocol?: 'tcp' | 'udp' | undefined
  readonly target?: string | undefined
  readonly label?: string | undefined // what a person here calls the one who gets it
}

export interface OpenTicket extends Opened {
  readonly secret: string // base64
  readonly expires: number // Unix s
}

interface Guest {
  readonly limited: boolean // trusted only because of a ticket: no access to exposures for 'trusted' peers
  readonly used: readonly (Opened & { readonly proof: string })[] // repeating a proof is not a second use
}

/** Our view of a node with a proof. */
export type Redeemed =
  | {
      readonly verdict: 'accept'
      readonly service: string
      readonly label?: string | undefined
      readonly fresh: boolean
    }
  | { readonly verdict: 'refuse' }

export class TicketBook {
  readonly #file: string
  readonly #ownKey: Uint8Array
  #open: readonly OpenTicket[]
  #guests: ReadonlyMap<string, Guest>

  private constructor(file: string, ownKey: Uint8Array, { open, guests }: z.output<typeof Book>) {
    this.#file = file
    this.#ownKey = ownKey
    this.#open = open
    this.#guests = new Map(guests.map(({ key, limited, used }) => [key, { limited, used }]))
  }

  /** @throws PilotError FAILED for an existing but unreadable file: guests must not gain rights through its loss. */
  static async load(file: string, ownKey: Uint8Array): Promise<TicketBook> {
    try {
      const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined
        throw error
      })
      return new TicketBook(
        file,
        ownKey,
        text === undefined ? { version: 1, open: [], guests: [] } : Book.parse(JSON.parse(text)),
      )
    } catch (error) {
      throw new PilotError(
        'FAILED',
        `${file}: the tickets cannot be read`,
        { file },
        error,
        'Restore it; or revoke the trust of its guests, then move it away: without it they count as ordinary trusted peers.',
      )
    }
  }

  /** @throws PilotError TOO_MANY, STATE_UNWRITABLE: it is not open. */
  add(ticket: OpenTicket, now: number): void {
    const open = this.#open.filter(({ expires }) => expires > now)
    if (open.length >= MAX_OPEN)
      throw new PilotError('TOO_MANY', `${MAX_OPEN} tickets are open already; wait until some have expired`)
    if (this.#guests.size >= MAX_GUESTS)
      throw new PilotError('TOO_MANY', `${MAX_GUESTS} nodes have joined by ticket; revoke the trust of some`)
    this.#become([...open, ticket], this.#guests)
  }

  /** Neither used nor expired. */
  open(now: number): readonly OpenTicket[] {
    return this.#open.filter(({ expires }) => expires > now)
  }

  /** Withdraws open tickets. @returns how many. @throws PilotError STATE_UNWRITABLE: they stay open. */
  cancel(fits: (ticket: OpenTicket) => boolean): number {
    const kept = this.#open.filter((ticket) => !fits(ticket))
    const cancelled = this.#open.length - kept.length
    if (cancelled > 0) this.#become(kept, this.#guests)
    return cancelled
  }

  /** Of the ticket that admitted a guest to this exposure, or absent that, of its latest one. @param key base64. */
  labelOf(key: string, service?: ServiceKey): string | undefined {
    const used = this.#guests.get(key)?.used ?? []
    return (service === undefined ? used : used.filter((ticket) => opens(ticket, service))).at(-1)?.label
  }

  /** When the last of the open tickets expires, Unix s; 0 without any. */
  get openUntil(): number {
    return Math.max(0, ...this.#open.map(({ expires }) => expires))
  }

  /**
   * The verdict on a request with this justification; undefined if it mentions no ticket. A valid ticket is used up, on
   * disk too when this returns, so no crash reopens it.
   * @param trusted the requester is trusted now; otherwise a proof that it has used before is worthless (its trust was
   *   revoked).
   * @throws PilotError STATE_UNWRITABLE: a valid ticket is not granted, and stays open.
   */
  redeem(key: Uint8Array, justification: string, trusted: boolean, now: number): Redeemed | undefined {
    if (!isProof(justification)) return undefined
    const name = toBase64(key)
    const guest = this.#guests.get(name)
    const shown = guest?.used.find(({ proof }) => sameProof(proof, justification))
    if (shown !== undefined)
      return trusted ? { verdict: 'accept', service: shown.service, fresh: false } : { verdict: 'refuse' }
    const found = this.#open.find(({ secret }) =>
      sameProof(proofOf(fromBase64(secret)!, key, this.#ownKey), justification),
    )
    if (found === undefined || found.expires <= now) return { verdict: 'refuse' }
    const { service, port, protocol, target, label } = found
    const use = { service, port, protocol, target, label, proof: justification }
    const used = [...(guest?.used ?? []), use].slice(-MAX_USED)
    this.#become(
      this.#open.filter((ticket) => ticket !== found),
      new Map(this.#guests).set(name, { limited: guest?.limited ?? !trusted, used }),
    )
    return { verdict: 'accept', service, ...(label !== undefined && { label }), fresh: true }
  }

  /**
   * A node that we trust because of its ticket: it gets no access here. One that was trusted before stays trusted.
   * @throws PilotError STATE_UNWRITABLE.
   */
  restrict(key: Uint8Array): void {
    const name = toBase64(key)
    if (!this.#guests.has(name)) this.#become(this.#open, new Map(this.#guests).set(name, { limited: true, used: [] }))
  }

  /**
   * A trusted node at an exposure: admitted by a ticket, known only through tickets for others, or an ordinary peer
   * (undefined). @param key base64.
   */
  standing(key: string, service: ServiceKey): 'granted' | 'restricted' | undefined {
    const guest = this.#guests.get(key)
    if (guest === undefined) return undefined
    if (guest.used.some((ticket) => opens(ticket, service))) return 'granted'
    return guest.limited ? 'restricted' : undefined
  }

  /** Keys that are trusted only for a ticket; `isOurs`: for one made here. */
  get limited(): ReadonlyArray<{ readonly key: string; readonly isOurs: boolean }> {
    return [...this.#guests].flatMap(([key, { limited, used }]) => (limited ? [{ key, isOurs: used.length > 0 }] : []))
  }

  get hasGuests(): boolean {
    return this.#guests.size > 0
  }

  /**
   * Trust was revoked: its tickets' access is closed, and if trusted again, it is an ordinary peer. @param key base64.
   * @throws PilotError STATE_UNWRITABLE: in force, but a restart would undo it.
   */
  forget(key: string): void {
    const guests = new Map(this.#guests)
    if (!guests.delete(key)) return
    this.#guests = guests // whatever the disk says
    this.#become(this.#open, guests)
  }

  /**
   * On disk first, then in force. Synchronous: of two writes on their way, the older could land last and reopen a used
   * ticket.
   */
  #become(open: readonly OpenTicket[], guests: ReadonlyMap<string, Guest>): void {
    const book = { version: 1, open, guests: [...guests].map(([key, guest]) => ({ key, ...guest })) }
    try {
      writeFileAtomicallyNow(this.#file, `${JSON.stringify(book, null, 2)}\n`)
    } catch (error) {
      throw new PilotError('STATE_UNWRITABLE', `${this.#file} cannot be written`, { file: this.#file }, error)
    }
    this.#open = open
    this.#guests = guests
  }
}

/** Whether a ticket is one for this exposure. */
export function opens({ service, port, protocol, target }: Opened, asked: ServiceKey): boolean {
  if (port === undefined || protocol === undefined || target === undefined) return service === asked.name
  return isSameService({ name: service, port, protocol, target }, asked)
}

/** A proof is compared with each open ticket; this many take well under a millisecond. */
const MAX_OPEN = 64
const MAX_GUESTS = 1_024
const MAX_USED = 64 // of one guest; the oldest are dropped first
