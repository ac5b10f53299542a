/**
 * Invitations to networks, waiting for the invited (registry.md §6). They stay until answered, for thirty days.
 *
 * Records: `invite/<to>/<network>`.
 */
import type { NodeId } from '../../base/types.ts'
import type { RegistryStore } from '../store/store.ts'
import type { Fields } from './fields.ts'
import { INVITE_LIVES_MS, MAX_WAITING_INVITES } from './constants.ts'

export interface Invite {
  readonly inviterId: NodeId
  readonly atMs: number // unix ms
}

export class InviteBox {
  readonly #store: RegistryStore
  readonly #boxes = new Map<NodeId, Map<number, Invite>>() // by invited node, then by network, oldest first

  constructor(store: RegistryStore) {
    this.#store = store
  }

  /** Expired after thirty days. */
  get(now: number, to: NodeId, network: number): Invite | undefined {
    this.#dropOld(now, to)
    return this.#boxes.get(to)?.get(network)
  }

  all(now: number, to: NodeId): ReadonlyMap<number, Invite> {
    this.#dropOld(now, to)
    return this.#boxes.get(to) ?? NONE
  }

  /** False if the box is full. */
  put(now: number, to: NodeId, network: number, inviterId: NodeId): boolean {
    this.#dropOld(now, to)
    const box = this.#boxes.get(to) ?? new Map<number, Invite>()
    if (box.size >= MAX_WAITING_INVITES) return false
    const invite = { inviterId, atMs: now }
    box.set(network, invite)
    this.#boxes.set(to, box)
    this.#store.put(`invite/${to}/${network}`, invite)
    return true
  }

  take(to: NodeId, network: number): void {
    const box = this.#boxes.get(to)
    if (box === undefined || !box.delete(network)) return
    if (box.size === 0) this.#boxes.delete(to)
    this.#store.delete(`invite/${to}/${network}`)
  }

  /** The node is gone, and so are its invitations. */
  takeAll(to: NodeId): void {
    for (const network of this.#boxes.get(to)?.keys() ?? []) this.take(to, network)
  }

  /** The network is gone. */
  takeNetwork(network: number): void {
    for (const to of this.#boxes.keys()) this.take(to, network)
  }

  sweep(now: number): void {
    for (const to of this.#boxes.keys()) this.#dropOld(now, to)
  }

  /** Call in order of `atMs`. @returns False for anything that is not an invitation. */
  load(name: string, fields: Fields): boolean {
    const match = /^(\d{1,10})\/(\d{1,5})$/.exec(name)
    if (match === null) return false
    const to = Number(match[1])
    const box = this.#boxes.get(to) ?? new Map<number, Invite>()
    box.set(Number(match[2]), { inviterId: fields.number('inviterId'), atMs: fields.milliseconds('atMs') })
    this.#boxes.set(to, box)
    return true
  }

  #dropOld(now: number, to: NodeId): void {
    for (const [network, invite] of this.#boxes.get(to) ?? [])
      if (now - invite.atMs > INVITE_LIVES_MS) this.take(to, network)
  }
}

const NONE: ReadonlyMap<number, never> = new Map<number, never>()
