/**
 * Who may talk to us: trusted peers, requests that await our decision, and our requests that await theirs. Trust is
 * bilateral and by node; its key is stored with it, so that a node id that changes hands is no longer trusted (trust.md
 * §4.8). The meaning of names is decided here too, by key: name-book.ts.
 */
import { equalBytes, fromBase64, toBase64 } from '../../base/bytes.ts'
import type { PeerName } from '../../base/address.ts'
import type { NodeId } from '../../base/types.ts'
import type { PendingEntry, RequestedEntry, RevokedEntry, TrustFile, TrustedEntry } from '../../wire/trust-file.ts'
import { NameBook, type NameMeaning } from './name-book.ts'
import { type DroppedRequest, PendingRequests } from './pending-requests.ts'
import type { Approval, ApprovedBy, IncomingRequest, KeyOfPeer, OutgoingRequest, RequestFate } from './requests.ts'

/** Keys in the configuration, which override any registry or trust file. */
export interface Pins {
  readonly keys: ReadonlyMap<NodeId, Uint8Array>
  readonly names: ReadonlyMap<string, Uint8Array>
}

export class TrustBook {
  readonly #pinnedKeys: ReadonlyMap<NodeId, Uint8Array>
  readonly #names: NameBook
  readonly #trusted = new Map<NodeId, TrustedEntry>()
  readonly #nodes = new Map<string, NodeId>() // of trusted keys, base64
  readonly #pending = new PendingRequests()
  readonly #outgoing = new Map<string, OutgoingRequest>()
  /** The registry's names for trusted nodes that have no name here: only for people. */
  readonly #claims = new Map<NodeId, string>()
  /** Trust given under node ids that now mean other nodes, by key: not in force until its owner is found again. */
  readonly #displaced = new Map<string, TrustedEntry>()
  /** Peers whose trust we revoked, by key: neither an open request nor a shared network restores it, only a person. */
  readonly #revoked = new Map<string, RevokedEntry>()
  /** What a daemon keeps in the same file: not ours to lose. */
  #daemons: Pick<TrustFile, 'cooldowns' | 'outgoing'> = {}
  #ownId: NodeId | undefined
  /** Something in the trust file has changed since `takeDirty`. */
  #dirty = false

  constructor(pins: Pins = { keys: new Map(), names: new Map() }) {
    this.#pinnedKeys = pins.keys
    this.#names = new NameBook(new Map([...pins.names].map(([name, key]) => [name, toBase64(key)])))
  }

  load(file: TrustFile): void {
    this.#ownId = file.ownId
    for (const { hostname, displaced, ...entry } of file.trusted) {
      const pinned = this.#pinnedKeys.get(entry.nodeId)
      const isPinned = pinned === undefined || entry.publicKey === '' || entry.publicKey === toBase64(pinned)
      // Not in force: displaced before, or, in older files, its id is used again; or the key pinned now is another one.
      const isInForce = isPinned && displaced !== true && !this.#trusted.has(entry.nodeId)
      if (isInForce) this.#put(entry)
      else if (entry.publicKey !== '') this.#displaced.set(entry.publicKey, entry)
      if (displaced === true && hostname !== undefined) this.#outgoing.set(hostname, soughtAgain(hostname))
      if (hostname === undefined) continue
      if (entry.publicKey === '' || entry.network !== 0) this.#claims.set(entry.nodeId, hostname)
      else this.#names.restore(hostname, entry.publicKey)
    }
    for (const entry of file.pending) this.#pending.load(entry)
    for (const entry of file.revoked ?? []) this.#revoked.set(entry.publicKey, entry)
    const { cooldowns, outgoing } = file
    this.#daemons = { ...(cooldowns !== undefined && { cooldowns }), ...(outgoing !== undefined && { outgoing }) }
    for (const entry of file.requested ?? []) this.#outgoing.set(entry.peer, requestOf(entry))
  }

  save(): TrustFile {
    const requested = [...this.#outgoing.values()].filter(({ kept }) => kept === true).map(entryOf)
    return {
      trusted: [
        ...[...this.#trusted.values()].map((entry) => this.#saved(entry)),
        ...[...this.#displaced.values()].map((entry) => ({ ...this.#saved(entry), displaced: true as const })),
      ],
      pending: this.#pending.all,
      ...(this.#revoked.size > 0 && { revoked: [...this.#revoked.values()] }),
      ...(requested.length > 0 && { requested }),
      ...this.#daemons,
      ...(this.#ownId !== undefined && { ownId: this.#ownId }),
    }
  }

  #saved(entry: TrustedEntry): TrustedEntry {
    const hostname = this.#names.boundTo(entry.publicKey)
    return hostname === undefined ? entry : { ...entry, hostname }
  }

  /** Our id when the file was written: if it differs now, the ids in the file mean other nodes. */
  get ownId(): NodeId | undefined {
    return this.#ownId
  }
  set ownId(node: NodeId | undefined) {
    const hasIds = this.#trusted.size + this.#pending.size + this.#displaced.size > 0
    if (node !== this.#ownId && hasIds) this.#dirty = true
    this.#ownId = node
  }

  takeDirty(): boolean {
    const dirty = this.#dirty
    this.#dirty = false
    return dirty
  }

  // ---- who is trusted

  isTrusted(node: NodeId): boolean {
    return this.#trusted.has(node)
  }

  /** The Ed25519 key that trust was given to, or that the configuration pins. */
  keyOf(node: NodeId): Uint8Array | undefined {
    return this.#pinnedKeys.get(node) ?? keyFrom(this.#trusted.get(node))
  }

  get trusted(): readonly TrustedEntry[] {
    return [...this.#trusted.values()].map((entry) => this.#named(entry))
  }
  entryOf(node: NodeId): TrustedEntry | undefined {
    const entry = this.#trusted.get(node)
    return entry === undefined ? undefined : this.#named(entry)
  }
  get pending(): readonly PendingEntry[] {
    return this.#pending.all
  }
  pendingOf(node: NodeId): PendingEntry | undefined {
    return this.#pending.of(node)
  }
  get outgoing(): readonly OutgoingRequest[] {
    return [...this.#outgoing.values()]
  }

  #named(entry: TrustedEntry): TrustedEntry {
    const hostname = this.#names.nameOf(entry.publicKey)
    return hostname === undefined ? entry : { ...entry, hostname }
  }

  // ---- names

  /** The name that the key of this node is bound to. */
  hostnameOf(node: NodeId): string | undefined {
    const key = this.keyOf(node)
    return key === undefined ? undefined : this.#names.nameOf(toBase64(key))
  }

  /** The registry's name for this node; unverified. */
  claimOf(node: NodeId): string | undefined {
    return this.#claims.get(node) ?? this.#pending.of(node)?.hostname
  }

  meaningOf(hostname: string): NameMeaning | undefined {
    return this.#names.meaningOf(hostname)
  }

  /** Whether this name means that node: its key is the one that the name is bound to. */
  means(hostname: string, node: NodeId): boolean {
    const key = this.keyOf(node)
    return key !== undefined && this.#names.means(hostname, toBase64(key))
  }

  /** The trusted node whose key the name is bound to. */
  nodeNamed(hostname: string): NodeId | undefined {
    const meaning = this.#names.meaningOf(hostname)
    return meaning?.kind === 'key' ? this.#nodes.get(meaning.key) : undefined
  }

  /** Names that mean no one, because several trusted keys have them. */
  get ambiguousNames(): ReadonlyMap<string, readonly string[]> {
    return this.#names.ambiguous
  }

  /**
   * May the registry's answer lead a dial by that name to this node? Not if it has another name here, or deliberately
   * none.
   */
  mayBeCalled(node: NodeId, hostname: string): boolean {
    const entry = this.#trusted.get(node)
    if (entry === undefined) return true
    const name = this.#names.boundTo(entry.publicKey)
    return name === hostname || (name === undefined && entry.guest !== true)
  }

  /**
   * The registry reports this name for the owner of this key. The first name of a peer that a person trusts by address
   * is bound to it, unless another peer has it or is awaited under it.
   * @returns whether the name was just bound.
   */
  learnName(node: NodeId, key: Uint8Array, hostname: string | undefined): boolean {
    const entry = this.#trusted.get(node)
    if (entry === undefined || hostname === undefined || entry.publicKey !== toBase64(key)) return false
    this.#claims.set(node, hostname)
    const isChosen = entry.guest !== true && entry.network === 0
    if (!isChosen || this.isAwaited(hostname) || !this.#names.bind(hostname, entry.publicKey)) return false
    this.#dirty = true
    return true
  }

  /** We have requested trust from a node with this name. */
  isAwaited(hostname: string): boolean {
    return [...this.#outgoing.values()].some((outgoing) => outgoing.hostname === hostname)
  }

  /**
   * The name was trusted or pinned with another key: the requester must neither inherit it nor profit from a request to
   * that name.
   */
  #isImpostor(hostname: string | undefined, key: Uint8Array): boolean {
    return hostname !== undefined && this.#names.isTaken(hostname, toBase64(key))
  }

  // ---- requests of ours

  /** Whether we revoked the trust of the peer that this request names. */
  isRevoked(outgoing: OutgoingRequest): boolean {
    return this.#revokedBy(outgoing).length > 0
  }

  /** Whether we revoked the trust of the owner of this key. */
  hasRevoked(key: Uint8Array): boolean {
    return this.#revoked.has(toBase64(key))
  }

  #revokedBy({ node, hostname }: OutgoingRequest): readonly RevokedEntry[] {
    return [...this.#revoked.values()].filter(
      (entry) => entry.nodeId === node || (hostname !== undefined && entry.hostname === hostname),
    )
  }

  /** We want to be trusted by this peer, and will approve its request. This lifts our revocation. */
  request(outgoing: OutgoingRequest): void {
    for (const { publicKey } of this.#revokedBy(outgoing)) this.#dirty = this.#revoked.delete(publicKey) || this.#dirty
    const before = this.#outgoing.get(outgoing.peer)
    if (before?.kept === true || outgoing.kept === true) this.#dirty = true
    this.#outgoing.set(outgoing.peer, outgoing)
  }

  /** @param peer as the person wrote it. @returns false if this peer had not been asked. */
  withdrawRequest(peer: string): boolean {
    const outgoing = this.#outgoing.get(peer)
    if (outgoing !== undefined) this.withdraw(outgoing)
    return outgoing !== undefined
  }

  withdraw(outgoing: OutgoingRequest): void {
    if (this.#outgoing.delete(outgoing.peer) && outgoing.kept === true) this.#dirty = true
  }

  /** Our request that this node can answer, if there is one. */
  outgoingTo(node: NodeId, hostname: string | undefined): OutgoingRequest | undefined {
    for (const outgoing of this.#outgoing.values()) {
      if (outgoing.node === node || (outgoing.hostname !== undefined && outgoing.hostname === hostname)) return outgoing
    }
    return undefined
  }

  /**
   * Whether the owner of this key may satisfy our request. A request by name is not satisfied by a peer that is trusted
   * under another name or as a guest, nor while a node with another key waits under that name.
   */
  mayAnswer(outgoing: OutgoingRequest, hostname: string | undefined, key: Uint8Array): boolean {
    if (outgoing.key !== undefined && !equalBytes(outgoing.key, key)) return false
    if (this.#isImpostor(hostname, key) || this.#isImpostor(outgoing.hostname, key)) return false
    if (outgoing.hostname === undefined || outgoing.key !== undefined) return true
    const text = toBase64(key)
    const name = this.#names.boundTo(text)
    const isGuest = (this.#displaced.get(text) ?? this.#trusted.get(this.#nodes.get(text) ?? 0))?.guest === true
    return (
      !isGuest &&
      (name === undefined || name === outgoing.hostname) &&
      !this.#pending.hasNamesake(outgoing.hostname, key)
    )
  }

  // ---- requests of others

  handleRequest({ node, hostname, key, justification, time, isExpected }: IncomingRequest): RequestFate {
    const known = this.keyOf(node)
    if (known !== undefined && !equalBytes(known, key)) {
      const mayMove = !this.#pinnedKeys.has(node) && this.knows(key) && !this.#isImpostor(hostname, key)
      return mayMove ? 'moved' : 'key_changed'
    }
    if (this.#trusted.has(node)) return 'already_trusted'
    if (this.#isImpostor(hostname, key)) return 'key_changed'
    if (this.knows(key)) return 'moved'
    if (isExpected) return 'expected'
    const outgoing = this.outgoingTo(node, hostname)
    if (outgoing !== undefined && this.mayAnswer(outgoing, hostname, key) && !this.hasRevoked(key)) return 'wished'
    const publicKey = toBase64(key)
    const put = this.#pending.put(
      { nodeId: node, publicKey, justification, receivedAt: time, ...(hostname !== undefined && { hostname }) },
      (entry) => this.outgoingTo(entry.nodeId, entry.hostname) !== undefined,
    )
    if (put === 'full') return 'full'
    if (put !== 'repeated') this.#dirty = true
    return put === 'new' ? 'pending' : 'still_pending'
  }

  /** @param before RFC 3339: requests that were not repeated since are forgotten. */
  expireRequests(before: string): void {
    if (this.#pending.expire(before)) this.#dirty = true
  }
  takeDroppedRequests(): readonly DroppedRequest[] {
    return this.#pending.takeDropped()
  }

  /**
   * The owner of this key is trusted, under whatever id: registries that lose their data assign new ones. Its tunnel
   * must prove the key.
   */
  knows(key: Uint8Array): boolean {
    const text = toBase64(key)
    return this.#displaced.has(text) || this.#nodes.has(text)
  }

  /** The node that we trust under this id or name has a different key. */
  contradicts(node: NodeId, hostname: string | undefined, key: Uint8Array): boolean {
    const known = this.keyOf(node)
    return (known !== undefined && !equalBytes(known, key)) || (known === undefined && this.#isImpostor(hostname, key))
  }

  // ---- decisions

  /** Both sides agree now. */
  approve({ node, key, by, hostname, mutual, time }: Approval): void {
    this.#pending.delete(node)
    const text = toBase64(key)
    const before = this.#displaced.get(text) ?? this.#trusted.get(this.#nodes.get(text) ?? 0)
    const holder = this.#trusted.get(node)
    if (holder !== undefined && holder.publicKey !== text) {
      const name = this.#names.boundTo(holder.publicKey)
      const isAnother = hostname !== undefined && name !== undefined && name !== hostname // the registry has changed its ids
      if (isAnother || this.knows(key)) this.#displaceOne(holder)
      else this.#end(holder) // the key of this node is new, and the old one is void
    }
    if (before !== undefined && before.nodeId !== node) this.#forgetId(before) // a key belongs to one node
    this.#displaced.delete(text)
    this.#revoked.delete(text)
    const { network, guest } = by === 'moved' && before !== undefined ? before : standingBy(by)
    this.#put({ nodeId: node, publicKey: text, approvedAt: time, mutual, network, ...(guest === true && { guest }) })
    if (by === 'choice' && hostname !== undefined) this.#names.bind(hostname, text)
    if (hostname !== undefined) this.#claims.set(node, hostname)
    for (const outgoing of this.outgoing) if (this.#isFulfilled(outgoing, node)) this.#outgoing.delete(outgoing.peer)
    this.#dirty = true
  }

  #isFulfilled({ node, hostname }: OutgoingRequest, by: NodeId): boolean {
    const { guest, network } = this.#trusted.get(by)!
    if (hostname !== undefined && this.means(hostname, by)) return true
    return node === by && guest !== true && network === 0
  }

  /** This key is trusted only for a ticket. @param isOurs the ticket was made here: its guest has no name. */
  markGuest(key: Uint8Array, isOurs: boolean): void {
    const text = toBase64(key)
    const entry = this.#trusted.get(this.#nodes.get(text) ?? 0)
    if (entry === undefined || entry.guest === true) return
    if (isOurs) this.#names.free(text)
    this.#put({ ...entry, guest: true })
    this.#dirty = true
  }

  /** @returns false if there was nothing to reject. */
  reject(node: NodeId): boolean {
    if (!this.#pending.delete(node)) return false
    this.#dirty = true
    return true
  }

  /**
   * @param lasting we revoked it: lasts until a person trusts it again. @returns false if the node was not trusted.
   *   Requests to it end too.
   */
  revoke(node: NodeId, lasting = false): boolean {
    const hostname = this.hostnameOf(node) ?? this.#claims.get(node)
    const outgoing = this.outgoingTo(node, hostname)
    if (outgoing !== undefined) this.withdraw(outgoing)
    const entry = this.#trusted.get(node)
    if (entry === undefined) return false
    if (lasting) this.#noteRevoked(entry, hostname)
    this.#end(entry)
    this.#pending.delete(node)
    this.#dirty = true
    return true
  }

  /** A person withdraws trust in a peer whose present node id is not known. @param who its hostname here, the address it had, or its key. */
  revokeDisplaced(who: PeerName | KeyOfPeer): boolean {
    const hostname = who.kind === 'hostname' ? who.hostname : undefined
    const isMeant = ({ publicKey, nodeId }: TrustedEntry): boolean => {
      if (who.kind === 'hostname') return this.#names.boundTo(publicKey) === who.hostname
      return who.kind === 'key' ? publicKey === who.publicKey : nodeId === who.address.node
    }
    const entry = [...this.#displaced.values()].find(isMeant)
    if (entry === undefined) return false
    this.#noteRevoked(entry, hostname)
    this.#end(entry)
    this.#dirty = true
    return true
  }

  #noteRevoked({ nodeId, publicKey }: TrustedEntry, hostname: string | undefined): void {
    if (publicKey === '') return
    if (this.#revoked.size >= MAX_REVOKED) this.#revoked.delete(this.#revoked.keys().next().value!)
    this.#revoked.set(publicKey, { nodeId, publicKey, ...(hostname !== undefined && { hostname }) })
  }

  /**
   * The registry has assigned new node ids: trust holds only by key, until its owner appears.
   * @returns requests to find them by, where their hostnames are known, and the requests to node ids that no longer mean
   *   anyone.
   */
  displace(): { readonly sought: readonly OutgoingRequest[]; readonly void: readonly OutgoingRequest[] } {
    const names = [...this.#trusted.values()].flatMap(({ publicKey }) => this.#names.boundTo(publicKey) ?? [])
    for (const entry of this.#trusted.values()) this.#displaceOne(entry)
    this.#pending.clear()
    const byId = this.outgoing.filter(({ kept, hostname }) => kept === true && hostname === undefined)
    for (const outgoing of byId) this.withdraw(outgoing)
    this.#dirty = true
    return { sought: names.map(soughtAgain), void: byId }
  }

  #displaceOne(entry: TrustedEntry): void {
    if (entry.publicKey !== '') this.#displaced.set(entry.publicKey, entry)
    this.#forgetId(entry)
  }

  /** Trust in this key has ended, under any id. */
  #end(entry: TrustedEntry): void {
    this.#displaced.delete(entry.publicKey)
    this.#names.free(entry.publicKey)
    this.#forgetId(entry)
  }

  #put(entry: TrustedEntry): void {
    this.#trusted.set(entry.nodeId, entry)
    if (entry.publicKey !== '') this.#nodes.set(entry.publicKey, entry.nodeId)
  }

  #forgetId({ nodeId, publicKey }: TrustedEntry): void {
    if (this.#trusted.get(nodeId)?.publicKey !== publicKey) return // the id now belongs to another node
    this.#trusted.delete(nodeId)
    this.#claims.delete(nodeId)
    if (this.#nodes.get(publicKey) === nodeId) this.#nodes.delete(publicKey)
  }
}

function standingBy(by: ApprovedBy): { readonly network: number; readonly guest?: boolean } {
  if (typeof by === 'object') return by
  return { network: 0, guest: by === 'ticket' }
}

/** Finds the owner of a displaced key, which its answer has to show. */
function soughtAgain(hostname: string): OutgoingRequest {
  return { peer: hostname, node: undefined, hostname, reason: 'the registry has changed its ids' }
}

function keyFrom(entry: { readonly publicKey: string } | undefined): Uint8Array | undefined {
  return entry === undefined || entry.publicKey === '' ? undefined : fromBase64(entry.publicKey)
}

function requestOf({ peer, nodeId, hostname, reason, publicKey }: RequestedEntry): OutgoingRequest {
  const key = publicKey === undefined ? undefined : fromBase64(publicKey)
  return { peer, node: nodeId, hostname, reason, kept: true, ...(key !== undefined && { key }) }
}

/** A name's node id is found again; it may have changed. */
function entryOf({ peer, node, hostname, reason, key }: OutgoingRequest): RequestedEntry {
  const target = hostname !== undefined ? { hostname } : node !== undefined ? { nodeId: node } : {}
  return { peer, reason, ...target, ...(key !== undefined && { publicKey: toBase64(key) }) }
}

/** More revocations than anyone makes; beyond it the oldest is forgotten. */
const MAX_REVOKED = 1_024
