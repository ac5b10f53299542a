/**
 * Who may talk to us: trusted peers, requests that wait for our decision, and requests of ours that wait for theirs.
 * Trust is bilateral and by node; the key it was given to is kept with it, so that a node id that changes hands is not
 * trusted on (trust.md §4.8).
 */
import { equalBytes, fromBase64, toBase64 } from '../../base/bytes.ts'
import type { NodeId } from '../../base/types.ts'
import type { PendingEntry, RevokedEntry, TrustFile, TrustedEntry } from '../../wire/trust-file.ts'

/** What a request of somebody else leads to. */
export type RequestFate = 'pending' | 'still_pending' | 'approve' | 'already_trusted' | 'key_changed' | 'full'

/** A request for trust of ours: to a node id, or by a hostname whose node we do not know yet. */
export interface OutgoingRequest {
  readonly peer: string // as the person wrote it
  readonly node: NodeId | undefined
  readonly hostname: string | undefined
  readonly reason: string
  readonly key?: Uint8Array | undefined // the only Ed25519 key that fulfils it; absent: whichever the registry tells
}

/** What is known of a request before a person looks: to be granted, to be refused, or (undefined) neither. `trusted`: the asker is. */
export type TrustJudge = (asker: {
  readonly node: NodeId
  readonly key: Uint8Array
  readonly justification: string
  readonly trusted: boolean
}) => 'accept' | 'refuse' | undefined

/** What somebody asks of us. */
export interface IncomingRequest {
  readonly node: NodeId
  readonly hostname: string | undefined
  readonly key: Uint8Array // Ed25519, as the registry says
  readonly justification: string
  readonly time: string // RFC 3339
  readonly isExpected: boolean // to be approved without a person: it shares a network with us
}

export class TrustBook {
  readonly #trusted = new Map<NodeId, TrustedEntry>()
  readonly #pending = new Map<NodeId, PendingEntry>()
  readonly #outgoing = new Map<string, OutgoingRequest>()
  readonly #hostnames = new Map<NodeId, string>() // for people; the registry is the authority
  /** Trust given under node ids that mean other nodes now, by key: not in force until its owner is found again. */
  readonly #displaced = new Map<string, TrustedEntry>()
  /** Whose trust we took back, by key: neither a request that stands nor a shared network gives it again, only a person. */
  readonly #revoked = new Map<string, RevokedEntry>()
  #ownId: NodeId | undefined
  /** Something that the trust file holds has changed since `takeDirty`. */
  #dirty = false

  load(file: TrustFile): void {
    this.#ownId = file.ownId
    for (const entry of file.trusted) {
      this.#trusted.set(entry.nodeId, entry)
      if (entry.hostname !== undefined) this.#hostnames.set(entry.nodeId, entry.hostname)
    }
    for (const entry of file.pending) this.#pending.set(entry.nodeId, entry)
    for (const entry of file.revoked ?? []) this.#revoked.set(entry.publicKey, entry)
  }

  save(): TrustFile {
    const trusted = [...this.#trusted.values()].map((entry) => {
      const hostname = this.#hostnames.get(entry.nodeId)
      return hostname === undefined ? entry : { ...entry, hostname }
    })
    return {
      trusted: [...trusted, ...this.#displaced.values()],
      pending: [...this.#pending.values()],
      ...(this.#revoked.size > 0 && { revoked: [...this.#revoked.values()] }),
      ...(this.#ownId !== undefined && { ownId: this.#ownId }),
    }
  }

  /** The id that we had when the file was written: with another one, the ids in it mean other nodes. */
  get ownId(): NodeId | undefined {
    return this.#ownId
  }
  set ownId(node: NodeId | undefined) {
    if (node !== this.#ownId && this.#trusted.size + this.#pending.size + this.#displaced.size > 0) this.#dirty = true
    this.#ownId = node
  }

  takeDirty(): boolean {
    const dirty = this.#dirty
    this.#dirty = false
    return dirty
  }

  isTrusted(node: NodeId): boolean {
    return this.#trusted.has(node)
  }

  /** The Ed25519 key that trust was given to. */
  keyOf(node: NodeId): Uint8Array | undefined {
    const text = this.#trusted.get(node)?.publicKey
    return text === undefined || text === '' ? undefined : fromBase64(text)
  }

  /** The key that came with a pending request. */
  pendingKey(node: NodeId): Uint8Array | undefined {
    const text = this.#pending.get(node)?.publicKey
    return text === undefined || text === '' ? undefined : fromBase64(text)
  }

  get trusted(): readonly TrustedEntry[] {
    return [...this.#trusted.values()]
  }
  get pending(): readonly PendingEntry[] {
    return [...this.#pending.values()]
  }
  get outgoing(): readonly OutgoingRequest[] {
    return [...this.#outgoing.values()]
  }

  hostnameOf(node: NodeId): string | undefined {
    return this.#hostnames.get(node)
  }

  nodeNamed(hostname: string): NodeId | undefined {
    for (const [node, name] of this.#hostnames) if (name === hostname) return node
    return undefined
  }

  noteHostname(node: NodeId, hostname: string | undefined): void {
    if (hostname === undefined) return
    if (!this.#trusted.has(node) && !this.#pending.has(node)) return // strangers must not fill the table
    this.#hostnames.set(node, hostname)
  }

  /** Whether we took back the trust of the peer that this request names. */
  isRevoked(outgoing: OutgoingRequest): boolean {
    return this.#revokedBy(outgoing).length > 0
  }

  /** Whether we took back the trust of the owner of this key. */
  hasRevoked(key: Uint8Array): boolean {
    return this.#revoked.has(toBase64(key))
  }

  #revokedBy({ node, hostname }: OutgoingRequest): readonly RevokedEntry[] {
    return [...this.#revoked.values()].filter(
      (entry) => entry.nodeId === node || (hostname !== undefined && entry.hostname === hostname),
    )
  }

  /** We want to be trusted by this peer, and will approve its request. A revocation of ours is thereby lifted. */
  request(outgoing: OutgoingRequest): void {
    for (const { publicKey } of this.#revokedBy(outgoing)) this.#dirty = this.#revoked.delete(publicKey) || this.#dirty
    this.#outgoing.set(outgoing.peer, outgoing)
  }

  /** Our request that this node can answer, if there is one. */
  outgoingTo(node: NodeId, hostname: string | undefined): OutgoingRequest | undefined {
    for (const outgoing of this.#outgoing.values()) {
      if (outgoing.node === node || (outgoing.hostname !== undefined && outgoing.hostname === hostname)) return outgoing
    }
    return undefined
  }

  handleRequest({ node, hostname, key, justification, time, isExpected }: IncomingRequest): RequestFate {
    if (this.#trusted.has(node)) {
      const known = this.keyOf(node)
      if (known === undefined || equalBytes(known, key)) return 'already_trusted'
      return this.#knows(key) && !this.#isImpostor(hostname, key, node) ? 'approve' : 'key_changed'
    }
    if (this.#isImpostor(hostname, key)) return 'key_changed'
    if (this.#knows(key)) return 'approve'
    const outgoing = this.outgoingTo(node, hostname)
    if (isExpected || (outgoing !== undefined && fits(outgoing, key) && !this.hasRevoked(key))) return 'approve'
    const waiting = this.#pending.get(node)
    if (waiting === undefined && this.#pending.size >= MAX_PENDING) return 'full'
    if (waiting?.publicKey === toBase64(key) && waiting.justification === justification) return 'still_pending'
    this.#pending.set(node, { nodeId: node, publicKey: toBase64(key), justification, receivedAt: time })
    this.noteHostname(node, hostname)
    this.#dirty = true
    return 'pending'
  }

  /** The owner of this key is trusted, under whatever id: registries that lose their memory give out others. His tunnel must prove the key. */
  #knows(key: Uint8Array): boolean {
    const text = toBase64(key)
    return this.#displaced.has(text) || [...this.#trusted.values()].some(({ publicKey }) => publicKey === text)
  }

  /**
   * The name was trusted with another key. A registry gives away the name of a node that is silent for minutes: who
   * takes it must not inherit the trust, nor profit from a request to that name.
   * @param asker the record of this node does not count: its name is what the registry says of the id now.
   */
  #isImpostor(hostname: string | undefined, key: Uint8Array, asker?: NodeId): boolean {
    if (hostname === undefined) return false
    const text = toBase64(key)
    for (const entry of [...this.#trusted.values(), ...this.#displaced.values()]) {
      if (entry.nodeId === asker) continue
      const name = this.#hostnames.get(entry.nodeId) ?? entry.hostname
      if (name === hostname && entry.publicKey !== '' && entry.publicKey !== text) return true
    }
    return false
  }

  /** An answer to our request may be honoured: it comes with the key that was asked for, and from no other node under a name that we know. */
  mayAnswer(outgoing: OutgoingRequest, hostname: string | undefined, key: Uint8Array): boolean {
    return fits(outgoing, key) && !this.#isImpostor(hostname, key)
  }

  /** Whom we trust under this node id or name has another key. */
  contradicts(node: NodeId, hostname: string | undefined, key: Uint8Array): boolean {
    const known = this.keyOf(node)
    return (known !== undefined && !equalBytes(known, key)) || (known === undefined && this.#isImpostor(hostname, key))
  }

  /** Both sides agree now. @param mutual we had asked as well. @param network that both share, if that was the reason. */
  approve(
    node: NodeId,
    hostname: string | undefined,
    key: Uint8Array,
    mutual: boolean,
    time: string,
    network = 0,
  ): void {
    this.#pending.delete(node)
    const text = toBase64(key)
    const hasMoved = this.#knows(key) // else the key of this node is a new one, and the old one is worth nothing any more
    for (const entry of this.#trusted.values()) {
      if (entry.nodeId === node && entry.publicKey !== text && hasMoved) this.#displaceOne(entry)
      else if (entry.publicKey === text && entry.nodeId !== node) this.#forgetId(entry.nodeId) // of a key there is one node
    }
    this.#displaced.delete(text)
    this.#revoked.delete(text)
    const outgoing = this.outgoingTo(node, hostname)
    if (outgoing !== undefined) this.#outgoing.delete(outgoing.peer)
    this.#trusted.set(node, { nodeId: node, publicKey: toBase64(key), approvedAt: time, mutual, network })
    this.noteHostname(node, hostname)
    this.#dirty = true
  }

  /** @returns false when there was nothing to reject. */
  reject(node: NodeId): boolean {
    if (!this.#pending.delete(node)) return false
    this.#hostnames.delete(node)
    this.#dirty = true
    return true
  }

  /** @param lasting it was us: until a person trusts it again. @returns false when the node was not trusted. Requests to it end too. */
  revoke(node: NodeId, lasting = false): boolean {
    const hostname = this.#hostnames.get(node)
    const outgoing = this.outgoingTo(node, hostname)
    if (outgoing !== undefined) this.#outgoing.delete(outgoing.peer)
    const { publicKey = '' } = this.#trusted.get(node) ?? {}
    if (!this.#trusted.delete(node)) return false
    if (lasting && publicKey !== '') {
      if (this.#revoked.size >= MAX_REVOKED) this.#revoked.delete(this.#revoked.keys().next().value!)
      this.#revoked.set(publicKey, { nodeId: node, publicKey, ...(hostname !== undefined && { hostname }) })
    }
    this.#pending.delete(node)
    this.#hostnames.delete(node)
    this.#dirty = true
    return true
  }

  /**
   * The registry has given out new node ids: what is trusted is trusted by key only, until its owner shows up.
   * @returns the hostnames to seek them by, where known.
   */
  displace(): ReadonlyArray<{ readonly hostname: string | undefined }> {
    const sought = [...this.#trusted.values()].map((entry) => ({ hostname: this.#hostnames.get(entry.nodeId) }))
    for (const entry of this.#trusted.values()) this.#displaceOne(entry)
    this.#pending.clear()
    this.#hostnames.clear()
    this.#dirty = true
    return sought
  }

  #displaceOne(entry: TrustedEntry): void {
    const hostname = this.#hostnames.get(entry.nodeId)
    if (entry.publicKey !== '')
      this.#displaced.set(entry.publicKey, hostname === undefined ? entry : { ...entry, hostname })
    this.#forgetId(entry.nodeId)
  }

  #forgetId(node: NodeId): void {
    this.#trusted.delete(node)
    this.#hostnames.delete(node)
  }

  withdraw(outgoing: OutgoingRequest): void {
    this.#outgoing.delete(outgoing.peer)
  }
}

function fits(outgoing: OutgoingRequest, key: Uint8Array): boolean {
  return outgoing.key === undefined || equalBytes(outgoing.key, key)
}

/** Nobody takes back so much; beyond it the oldest is forgotten. */
const MAX_REVOKED = 1_024
/** Requests that wait for a person. Beyond it new ones are refused: the list must stay readable. */
const MAX_PENDING = 256
