/**
 * The audit log, for holders of the admin token (registry.md §8): the latest thousand entries. Without a token no one
 * could read them, so none are kept.
 *
 * Records: `audit/<place in the ring>`.
 */
import type { NodeId } from '../../base/types.ts'
import type { RegistryStore } from '../store/store.ts'
import type { Fields } from './fields.ts'
import { AUDIT_ENTRIES } from './constants.ts'

export interface AuditEntry {
  readonly number: number // counts up
  readonly atMs: number // unix ms
  readonly action: string // named as in the reference: `network.created`
  readonly networkId: number // 0: none
  readonly nodeId: NodeId // 0: none
  readonly details: string
}

export class AuditLog {
  readonly #store: RegistryStore
  readonly #kept: boolean
  #entries: AuditEntry[] = [] // oldest first
  #next = 1

  constructor(store: RegistryStore, kept: boolean) {
    this.#store = store
    this.#kept = kept
  }

  note(
    now: number,
    action: string,
    about: { readonly network?: number; readonly node?: NodeId; readonly details?: string },
  ): void {
    if (!this.#kept) return
    const { network: networkId = 0, node: nodeId = 0, details = '' } = about
    const entry = { number: this.#next++, atMs: now, action, networkId, nodeId, details }
    this.#entries.push(entry)
    if (this.#entries.length > 2 * AUDIT_ENTRIES) this.#entries = this.#entries.slice(-AUDIT_ENTRIES)
    this.#store.put(`audit/${entry.number % AUDIT_ENTRIES}`, entry)
  }

  /** Newest first. @param network 0: of all. */
  latest(limit: number, network: number): readonly AuditEntry[] {
    const wanted = this.#entries.slice(-AUDIT_ENTRIES).filter(({ networkId }) => network === 0 || networkId === network)
    return wanted.slice(-limit).reverse()
  }

  /** Call `loaded` after the last one. @returns False for anything that is not an entry. */
  load(fields: Fields): boolean {
    const [number, action] = [fields.number('number'), fields.text('action')]
    if (number === 0 || action === '') return false
    const entry = {
      number,
      atMs: fields.milliseconds('atMs'),
      action,
      networkId: fields.number('networkId'),
      nodeId: fields.number('nodeId'),
    }
    this.#entries.push({ ...entry, details: fields.text('details') })
    return true
  }

  loaded(): void {
    this.#entries.sort((a, b) => a.number - b.number)
    this.#next = (this.#entries.at(-1)?.number ?? 0) + 1
  }
}
