/** What a ticket changes about an allow-list. Above: whatever exposes something. Below: specs.ts; who came by which ticket, tickets.ts knows. */
import type { NodeId } from '../base/types.ts'
import { INVITED, TRUSTED } from './specs.ts'

/** 'granted': a ticket for this exposure let it in. 'restricted': it is trusted only because of others. undefined: no ticket has to do with it. */
export type GuestStanding = 'granted' | 'restricted' | undefined

export interface Guests {
  standing (node: NodeId, service: string): Promise<GuestStanding>
}

/** The entries of an allow-list that may let in a node that was not granted. 'trusted' means whom a person chose to trust. */
export function withoutTickets (allow: readonly string[], standing: GuestStanding): readonly string[] {
  return allow.filter((entry) => entry !== INVITED && (standing === undefined || entry !== TRUSTED))
}
