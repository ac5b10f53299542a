/**
 * Handshake messages waiting for nodes (registry.md §5). A request waits until polled; then it is remembered as asked,
 * because an accept creates a complete trust pair only if there was a request. Boxes survive reaping and restarts.
 *
 * Records: `request/<to>/<from>`, `response/<to>/<from>`, and `decoy` (see `pretend`).
 */
import type { NodeId } from '../../base/types.ts'
import type { RegistryStore } from '../store/store.ts'
import type { Fields } from './fields.ts'
import { MAX_ASKED_PER_NODE, MAX_WAITING_REQUESTS, MAX_WAITING_RESPONSES } from './constants.ts'

export interface WaitingRequest {
  readonly justification: string
  readonly atMs: number // unix ms
  readonly byName: boolean // the sender knew only a hostname, and must not learn the id behind it
}

export interface WaitingResponse {
  readonly accept: boolean
  readonly atMs: number
}

interface Box {
  readonly waiting: Map<NodeId, WaitingRequest> // by sender, oldest first
  readonly asked: Set<NodeId> // senders of requests that were polled and not answered, oldest first
  readonly responses: Map<NodeId, WaitingResponse> // by responder, oldest first
}

export class Mailboxes {
  readonly #store: RegistryStore
  readonly #boxes = new Map<NodeId, Box>()
  /** Something was put into the box of this node. */
  onMail: (to: NodeId) => void = () => {}

  constructor(store: RegistryStore) {
    this.#store = store
  }

  waitingRequest(to: NodeId, from: NodeId): WaitingRequest | undefined {
    return this.#boxes.get(to)?.waiting.get(from)
  }

  requests(to: NodeId): ReadonlyMap<NodeId, WaitingRequest> {
    return this.#boxes.get(to)?.waiting ?? NONE
  }
  responses(to: NodeId): ReadonlyMap<NodeId, WaitingResponse> {
    return this.#boxes.get(to)?.responses ?? NONE
  }

  /** Adds, or refreshes the one that waits. False if the box is full. */
  putRequest(to: NodeId, from: NodeId, request: WaitingRequest): boolean {
    const box = this.#box(to)
    if (!box.waiting.has(from) && box.waiting.size >= MAX_WAITING_REQUESTS) return false
    box.waiting.set(from, request)
    box.asked.delete(from)
    this.#store.put(`request/${to}/${from}`, request)
    this.onMail(to)
    return true
  }

  /** The same disk work as `putRequest`: the time of a reply must not reveal whether a name exists. */
  pretend(now: number): void {
    this.#store.put('decoy', { atMs: now })
  }

  /** `to` has received the request of `from`. */
  markAsked(to: NodeId, from: NodeId): void {
    const box = this.#boxes.get(to)
    if (box === undefined || !box.waiting.delete(from)) return
    box.asked.add(from)
    this.#store.put(`request/${to}/${from}`, { asked: true })
    if (box.asked.size > MAX_ASKED_PER_NODE) this.#forgetOldestAsked(to, box)
  }

  /** The request of `from` to `to` is answered or withdrawn. True if there was one. */
  settle(to: NodeId, from: NodeId): boolean {
    const box = this.#boxes.get(to)
    if (box === undefined) return false
    const waited = box.waiting.delete(from)
    const asked = box.asked.delete(from)
    if (!waited && !asked) return false
    this.#store.delete(`request/${to}/${from}`)
    this.#dropIfEmpty(to, box)
    return true
  }

  hasRoomForResponse(to: NodeId, from: NodeId): boolean {
    const responses = this.responses(to)
    return responses.has(from) || responses.size < MAX_WAITING_RESPONSES
  }

  /** A newer answer of the same node replaces the older one. */
  putResponse(to: NodeId, from: NodeId, response: WaitingResponse): void {
    const box = this.#box(to)
    box.responses.delete(from)
    box.responses.set(from, response)
    this.#store.put(`response/${to}/${from}`, response)
    this.onMail(to)
  }

  takeResponse(to: NodeId, from: NodeId): void {
    const box = this.#boxes.get(to)
    if (box === undefined || !box.responses.delete(from)) return
    this.#store.delete(`response/${to}/${from}`)
    this.#dropIfEmpty(to, box)
  }

  /** Call in order of `atMs`. @returns False for anything that is not a message. */
  load(kind: 'request' | 'response', name: string, fields: Fields): boolean {
    const match = /^(\d{1,10})\/(\d{1,10})$/.exec(name)
    if (match === null) return false
    const box = this.#box(Number(match[1]))
    const from = Number(match[2])
    const atMs = fields.milliseconds('atMs')
    if (kind === 'response') box.responses.set(from, { accept: fields.flag('accept'), atMs })
    else if (fields.flag('asked')) box.asked.add(from)
    else box.waiting.set(from, { justification: fields.text('justification'), atMs, byName: fields.flag('byName') })
    return true
  }

  #box(to: NodeId): Box {
    const known = this.#boxes.get(to)
    if (known !== undefined) return known
    const box: Box = { waiting: new Map(), asked: new Set(), responses: new Map() }
    this.#boxes.set(to, box)
    return box
  }

  #dropIfEmpty(to: NodeId, box: Box): void {
    if (box.waiting.size === 0 && box.asked.size === 0 && box.responses.size === 0) this.#boxes.delete(to)
  }

  #forgetOldestAsked(to: NodeId, box: Box): void {
    for (const from of box.asked) {
      box.asked.delete(from)
      this.#store.delete(`request/${to}/${from}`)
      return
    }
  }
}

const NONE: ReadonlyMap<NodeId, never> = new Map<NodeId, never>()
