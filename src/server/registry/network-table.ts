/**
 * Networks and who is in them (registry.md §6). A membership survives the node's silence; roles may be missing in
 * networks that were once `enterprise`.
 *
 * Records: `network/<id>`, `member/<network>/<node>`, and `networks/next` with the next id, which is never used again.
 */
import type { NodeId } from '../../base/types.ts'
import type { RegistryStore } from '../store/store.ts'
import type { Fields } from './fields.ts'
import { MAX_NETWORK_ID, MAX_NETWORKS } from './constants.ts'

export type Role = 'owner' | 'admin' | 'member'

export interface Network {
  readonly id: number // 1..65535
  name: string
  readonly joinRule: string // `open`, `token`, `invite`; the reference accepts any text, and then no one can join
  readonly tokenHash: string // see secrets.ts; empty: none
  readonly adminTokenHash: string
  enterprise: boolean
  readonly createdMs: number // unix ms
  maxMembers: number // 0: no limit of its own
  allowedPorts: readonly number[] // only stored: no daemon enforces them
  description: string
  exprPolicy: string // JSON for daemons that run policies; empty: none
}

export type NewNetwork = Pick<Network, 'name' | 'joinRule' | 'tokenHash' | 'adminTokenHash' | 'enterprise'>

interface Member {
  readonly order: number // of joining; counts up
  role: Role | undefined
  tags: readonly string[] // of the node in this network
}

export class NetworkTable {
  readonly #store: RegistryStore
  readonly #networks = new Map<number, Network>()
  readonly #members = new Map<number, Map<NodeId, Member>>() // by network, in order of joining
  readonly #networksOf = new Map<NodeId, Set<number>>()
  readonly #idByName = new Map<string, number>()
  #nextId = 1
  #lastOrder = 0

  constructor(store: RegistryStore) {
    this.#store = store
  }

  get size(): number {
    return this.#networks.size
  }

  get(id: number): Network | undefined {
    return this.#networks.get(id)
  }
  all(): Iterable<Network> {
    return this.#networks.values()
  }
  isTaken(name: string): boolean {
    return this.#idByName.has(name)
  }

  /** Undefined if there are too many. @param owner undefined: the admin's, without members. */
  create(now: number, about: NewNetwork, owner: NodeId | undefined): Network | undefined {
    if (this.#networks.size >= MAX_NETWORKS || this.#nextId > MAX_NETWORK_ID) return undefined
    const network: Network = {
      ...about,
      id: this.#nextId,
      createdMs: now,
      maxMembers: 0,
      allowedPorts: [],
      description: '',
      exprPolicy: '',
    }
    this.#index(network)
    this.#store.put('networks/next', { nextId: this.#nextId })
    this.save(network)
    if (owner !== undefined) this.addMember(network, owner, 'owner')
    return network
  }

  rename(network: Network, name: string): void {
    this.#idByName.delete(network.name)
    network.name = name
    this.#idByName.set(name, network.id)
    this.save(network)
  }

  save(network: Network): void {
    const { id, ...fields } = network
    this.#store.put(`network/${id}`, fields)
  }

  delete(network: Network): void {
    for (const node of this.members(network).keys()) this.removeMember(network, node)
    this.#networks.delete(network.id)
    this.#members.delete(network.id)
    this.#idByName.delete(network.name)
    this.#store.delete(`network/${network.id}`)
  }

  /** In order of joining. */
  members(network: Network): ReadonlyMap<NodeId, Readonly<Member>> {
    return this.#members.get(network.id) ?? NONE
  }

  isMember(network: Network, node: NodeId): boolean {
    return this.members(network).has(node)
  }
  role(network: Network, node: NodeId): Role | undefined {
    return this.members(network).get(node)?.role
  }

  tags(network: Network, node: NodeId): readonly string[] {
    return this.members(network).get(node)?.tags ?? []
  }

  addMember(network: Network, node: NodeId, role: Role): void {
    this.#put(network.id, node, { order: ++this.#lastOrder, role, tags: [] })
  }

  setRole(network: Network, node: NodeId, role: Role | undefined): void {
    const member = this.#members.get(network.id)?.get(node)
    if (member !== undefined) this.#put(network.id, node, { ...member, role })
  }

  /** Of a member. */
  setTags(network: Network, node: NodeId, tags: readonly string[]): void {
    const member = this.#members.get(network.id)?.get(node)
    if (member !== undefined) this.#put(network.id, node, { ...member, tags })
  }

  removeMember(network: Network, node: NodeId): void {
    this.#members.get(network.id)?.delete(node)
    const networks = this.#networksOf.get(node)
    networks?.delete(network.id)
    if (networks?.size === 0) this.#networksOf.delete(node)
    this.#store.delete(`member/${network.id}/${node}`)
  }

  /** Ascending, without the backbone. */
  networksOf(node: NodeId): readonly number[] {
    return [...(this.#networksOf.get(node) ?? [])].sort((a, b) => a - b)
  }

  /** Are both in one network? With twice the same node: is it in any? */
  shareOne(a: NodeId, b: NodeId): boolean {
    const [ofA, ofB] = [this.#networksOf.get(a), this.#networksOf.get(b)]
    if (ofA === undefined || ofB === undefined) return false
    for (const id of ofA) if (ofB.has(id)) return true
    return false
  }

  /**
   * Networks before members, and members in order of their `order`. @returns False for anything that is not a network.
   */
  loadNetwork(id: number, fields: Fields): boolean {
    const name = fields.text('name')
    if (id < 1 || id > MAX_NETWORK_ID || name === '' || this.#idByName.has(name)) return false
    this.#index({
      id,
      name,
      joinRule: fields.text('joinRule'),
      tokenHash: fields.text('tokenHash'),
      adminTokenHash: fields.text('adminTokenHash'),
      enterprise: fields.flag('enterprise'),
      createdMs: fields.milliseconds('createdMs'),
      maxMembers: fields.number('maxMembers'),
      allowedPorts: fields.numbers('allowedPorts'),
      description: fields.text('description'),
      exprPolicy: fields.text('exprPolicy'),
    })
    return true
  }

  loadMember(name: string, fields: Fields): boolean {
    const match = /^(\d{1,5})\/(\d{1,10})$/.exec(name)
    const network = this.#networks.get(Number(match?.[1]))
    if (match === null || network === undefined) return false
    const role = ROLES.find((known) => known === fields.text('role'))
    this.#keep(network.id, Number(match[2]), { order: fields.number('order'), role, tags: fields.texts('tags') })
    return true
  }

  loadNextId(id: number): void {
    this.#nextId = Math.max(this.#nextId, id)
  }

  #index(network: Network): void {
    this.#networks.set(network.id, network)
    this.#idByName.set(network.name, network.id)
    this.#nextId = Math.max(this.#nextId, network.id + 1)
  }

  #put(network: number, node: NodeId, member: Member): void {
    this.#keep(network, node, member)
    const { order, role = '', tags } = member
    this.#store.put(`member/${network}/${node}`, { order, role, ...(tags.length > 0 && { tags }) })
  }

  #keep(network: number, node: NodeId, member: Member): void {
    const members = this.#members.get(network) ?? new Map<NodeId, Member>()
    members.set(node, member)
    this.#lastOrder = Math.max(this.#lastOrder, member.order)
    this.#members.set(network, members)
    const networks = this.#networksOf.get(node) ?? new Set<number>()
    networks.add(network)
    this.#networksOf.set(node, networks)
  }
}

const ROLES: readonly Role[] = ['owner', 'admin', 'member']
const NONE: ReadonlyMap<NodeId, never> = new Map<NodeId, never>()
