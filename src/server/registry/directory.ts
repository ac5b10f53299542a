/**
 * Accounts (a node id and its key, until silent for long) and live nodes (their current endpoint, until reaped), with
 * the indexes of both. Every change is written through to the store as one small record.
 *
 * Records: `account/<id>`, `node/<id>` and `nodes/next`.
 */
import type { NodeId } from '../../base/types.ts'
import type { RegistryStore } from '../store/store.ts'
import type { Fields } from './fields.ts'
import { TokenBucket } from '../../base/token-bucket.ts'
import { Rounds } from './rounds.ts'
import {
  CROWDED_ACCOUNTS,
  DAY_MS,
  FORGET_EVERY_MS,
  MAX_ACCOUNTS,
  MAX_UNPROVEN_ACCOUNTS,
  NAME_KEPT_MS,
  NEW_ACCOUNTS_BURST,
  NEW_ACCOUNTS_PER_SECOND,
  NEW_UNPROVEN_BURST,
  NEW_UNPROVEN_PER_SECOND,
  PROVEN_ACCOUNT_LIVES_MS,
  REAP_AFTER_MS,
  REAP_EVERY_MS,
  UNPROVEN_ACCOUNT_LIVES_MS,
} from './constants.ts'

/** The part that survives a node's silence: its id belongs to its key, and vice versa. */
export interface Account {
  readonly nodeId: NodeId
  publicKey: string // base64 of 32 bytes, canonical
  owner: string // e-mail address or empty
  signedOnce: boolean // registered with a signature at least once, so its key is fit: must always sign from then on
  usesSessions: boolean // opened a session at least once: other signatures of the key are invalid from then on
  keyCreatedMs: number // unix ms
  keyRotatedMs: number // 0: never
  keyRotations: number
  keyExpires: string // RFC 3339 as sent; empty: never
  keyExpiresMs: number // unix ms; 0: never
  reservedName: string // hostname reserved for this key while its node is away; empty: none
  silentSinceMs: number // unix ms; 0: its node is live, or the record predates this field
}

/** Signatures that were good for this node's key; empty: none yet. In memory only. */
export interface RepeatedProofs {
  heartbeatProof: string
  pollProof: string
}

export interface LiveNode extends RepeatedProofs {
  readonly nodeId: NodeId
  readonly account: Account
  endpoint: string // `ip:port`
  udpAddress: string // UDP source that the node announced with a signature; empty: none. Never revealed
  lanEndpoints: readonly string[]
  relayOnly: boolean // it wants to be reached through the beacon only: no one learns its endpoint
  extended: boolean // it announced the stream options of extensions.md: peers need not treat it as a Go daemon
  version: string // of its program, as it said when it registered; empty: it did not
  public: boolean
  hostname: string // empty: none
  tags: readonly string[]
  taskExec: boolean
  poloScore: number
  externalId: string // set by the admin; empty: none
  /** Unix ms. Not in its record, which would then be written at each heartbeat: a restart grants everyone the time to be heard. */
  lastSeenMs: number
}

export class Directory {
  readonly #store: RegistryStore
  readonly #accounts = new Map<NodeId, Account>()
  readonly #idByKey = new Map<string, NodeId>()
  readonly #idByOwner = new Map<string, NodeId>()
  readonly #live = new Map<NodeId, LiveNode>()
  readonly #idByHostname = new Map<string, NodeId>()
  readonly #idByReserved = new Map<string, NodeId>()
  readonly #liveRounds = new Rounds(this.#live, REAP_EVERY_MS)
  readonly #accountRounds = new Rounds(this.#accounts, FORGET_EVERY_MS)
  readonly #newAccounts = new TokenBucket(NEW_ACCOUNTS_PER_SECOND, NEW_ACCOUNTS_BURST)
  readonly #newUnproven = new TokenBucket(NEW_UNPROVEN_PER_SECOND, NEW_UNPROVEN_BURST)
  #unproven = 0 // accounts that never signed
  #nextNodeId = 1

  constructor(store: RegistryStore) {
    this.#store = store
  }

  get liveCount(): number {
    return this.#live.size
  }
  get accountCount(): number {
    return this.#accounts.size
  }

  allLive(): Iterable<LiveNode> {
    return this.#live.values()
  }
  live(nodeId: NodeId): LiveNode | undefined {
    return this.#live.get(nodeId)
  }
  account(nodeId: NodeId): Account | undefined {
    return this.#accounts.get(nodeId)
  }

  accountByKey(publicKey: string): Account | undefined {
    return this.#accounts.get(this.#idByKey.get(publicKey) ?? 0)
  }

  accountByOwner(owner: string): Account | undefined {
    return owner === '' ? undefined : this.#accounts.get(this.#idByOwner.get(owner) ?? 0)
  }

  liveByHostname(hostname: string): LiveNode | undefined {
    return this.#live.get(this.#idByHostname.get(hostname) ?? 0)
  }

  /**
   * The next id, ascending and never reused; undefined if there are too many, or too many new ones in a short time,
   * whatever their sources. Keys that never signed have a small part of both, so that made-up keys cannot lock out
   * anyone who can sign.
   */
  createAccount(now: number, publicKey: string, owner: string, signed: boolean): Account | undefined {
    if (this.#accounts.size >= MAX_ACCOUNTS || (!signed && this.#unproven >= MAX_UNPROVEN_ACCOUNTS)) return undefined
    if ((!signed && !this.#newUnproven.take(now)) || !this.#newAccounts.take(now)) return undefined
    const nodeId = this.#nextNodeId
    const account: Account = {
      nodeId,
      publicKey,
      owner,
      signedOnce: false,
      usesSessions: false,
      keyCreatedMs: now,
      keyRotatedMs: 0,
      keyRotations: 0,
      keyExpires: '',
      keyExpiresMs: 0,
      reservedName: '',
      silentSinceMs: 0,
    }
    this.#indexAccount(account)
    this.saveAccount(account)
    this.#store.put('nodes/next', { nextId: this.#nextNodeId })
    return account
  }

  noteSigned(account: Account): void {
    if (account.signedOnce) return
    account.signedOnce = true
    this.#unproven--
    this.saveAccount(account)
  }

  noteSession(account: Account): void {
    if (account.usesSessions) return
    account.usesSessions = true
    this.saveAccount(account)
  }

  /** Ids are not reused, even after their accounts were forgotten. */
  loadNextId(nextId: number): void {
    this.#nextNodeId = Math.max(this.#nextNodeId, nextId)
  }

  /** Callers must know that no other account has this key. */
  replaceKey(account: Account, publicKey: string): void {
    this.#idByKey.delete(account.publicKey)
    account.publicKey = publicKey
    const node = this.#live.get(account.nodeId)
    if (node !== undefined) Object.assign(node, NO_PROOFS)
    this.#idByKey.set(publicKey, account.nodeId)
    this.saveAccount(account)
  }

  /** Only if none was set: an account's owner is never replaced. */
  setOwner(account: Account, owner: string): void {
    if (account.owner !== '' || owner === '') return
    account.owner = owner
    if (!this.#idByOwner.has(owner)) this.#idByOwner.set(owner, account.nodeId)
    this.saveAccount(account)
  }

  saveAccount(account: Account): void {
    const { nodeId, ...fields } = account
    this.#store.put(`account/${nodeId}`, fields)
  }

  /** Resets the account: private, without name or tags (registry.md §3.1, cases 2, 4 and 5). */
  createLive(
    now: number,
    account: Account,
    where: Pick<LiveNode, 'endpoint' | 'udpAddress' | 'lanEndpoints' | 'relayOnly' | 'extended' | 'version'>,
  ): LiveNode {
    const node: LiveNode = {
      nodeId: account.nodeId,
      account,
      ...where,
      public: false,
      hostname: '',
      tags: [],
      taskExec: false,
      poloScore: 0,
      externalId: '',
      lastSeenMs: now,
      ...NO_PROOFS,
    }
    this.#live.set(node.nodeId, node)
    this.saveLive(node)
    if (account.silentSinceMs !== 0) {
      account.silentSinceMs = 0
      this.saveAccount(account)
    }
    return node
  }

  saveLive(node: LiveNode): void {
    const {
      nodeId,
      endpoint,
      udpAddress,
      lanEndpoints,
      relayOnly,
      extended,
      version,
      public: isPublic,
      hostname,
      tags,
      taskExec,
      poloScore,
      externalId,
    } = node
    this.#store.put(`node/${nodeId}`, {
      endpoint,
      udpAddress,
      lanEndpoints,
      ...(relayOnly && { relayOnly }),
      extended,
      version,
      public: isPublic,
      hostname,
      tags,
      taskExec,
      poloScore,
      externalId,
    })
  }

  /**
   * Empty clears. False if another live node has the name, or it is reserved for another key: a key that signed for a
   * name gets it back after an absence of up to NAME_KEPT_MS, so that no one can wait for it to fall silent.
   */
  setHostname(now: number, node: LiveNode, hostname: string): boolean {
    const holder = this.#idByHostname.get(hostname)
    if (holder !== undefined && holder !== node.nodeId) return false
    if (this.#isKeptFor(now, hostname, node.nodeId)) return false
    this.#idByHostname.delete(node.hostname)
    if (hostname !== '') this.#idByHostname.set(hostname, node.nodeId)
    node.hostname = hostname
    this.saveLive(node)
    if (node.account.signedOnce) this.#reserve(node.account, hostname)
    return true
  }

  /** Still reserved for another key. */
  #isKeptFor(now: number, hostname: string, asker: NodeId): boolean {
    const keeper = this.#accounts.get(this.#idByReserved.get(hostname) ?? 0)
    if (keeper === undefined || keeper.nodeId === asker) return false
    if (this.#live.has(keeper.nodeId) || now - keeper.silentSinceMs < NAME_KEPT_MS) return true
    this.#reserve(keeper, '')
    return false
  }

  #reserve(account: Account, hostname: string): void {
    if (account.reservedName === hostname) return
    if (this.#idByReserved.get(account.reservedName) === account.nodeId) this.#idByReserved.delete(account.reservedName)
    account.reservedName = hostname
    if (hostname !== '') this.#idByReserved.set(hostname, account.nodeId)
    this.saveAccount(account)
  }

  removeLive(node: LiveNode): void {
    this.#live.delete(node.nodeId)
    this.#idByHostname.delete(node.hostname)
    this.#store.delete(`node/${node.nodeId}`)
    node.account.silentSinceMs = node.lastSeenMs
    this.saveAccount(node.account)
  }

  /** Removes nodes that were silent too long (§3.3): each has its turn once a minute. @returns How many. */
  reap(now: number): number {
    let reaped = 0
    for (const node of this.#liveRounds.take(now)) {
      if (node.lastSeenMs >= now - REAP_AFTER_MS) continue
      this.removeLive(node)
      reaped++
    }
    return reaped
  }

  /**
   * Forgets accounts whose nodes were away for long, or for a day when the table is nearly full: their ids are not
   * reused, and a node that returns later gets a new one. Each has its turn once an hour.
   * @param isNeeded keeps an account of any age: a node declared trust in it, or it is a member of a network.
   */
  forgetSilent(now: number, isNeeded: (nodeId: NodeId) => boolean): number {
    let forgotten = 0
    const isCrowded = this.#accounts.size > CROWDED_ACCOUNTS
    for (const account of this.#accountRounds.take(now)) {
      const usualMs = account.signedOnce ? PROVEN_ACCOUNT_LIVES_MS : UNPROVEN_ACCOUNT_LIVES_MS
      const livesMs = isCrowded ? DAY_MS : usualMs
      const { nodeId, silentSinceMs } = account
      if (silentSinceMs === 0 || now - silentSinceMs < livesMs || isNeeded(nodeId)) continue
      this.#forget(account)
      forgotten++
    }
    return forgotten
  }

  #forget(account: Account): void {
    const { nodeId, publicKey, owner, reservedName, signedOnce } = account
    this.#accounts.delete(nodeId)
    this.#idByKey.delete(publicKey)
    if (this.#idByOwner.get(owner) === nodeId) this.#idByOwner.delete(owner)
    if (this.#idByReserved.get(reservedName) === nodeId) this.#idByReserved.delete(reservedName)
    if (!signedOnce) this.#unproven--
    this.#store.delete(`account/${nodeId}`)
  }

  /** Accounts must be loaded before nodes. @returns False for anything that is not an account. */
  loadAccount(nodeId: NodeId, fields: Fields): boolean {
    const publicKey = fields.text('publicKey')
    if (nodeId === 0 || publicKey === '' || this.#idByKey.has(publicKey)) return false
    this.#indexAccount({
      nodeId,
      publicKey,
      owner: fields.text('owner'),
      signedOnce: fields.flag('signedOnce'),
      usesSessions: fields.flag('usesSessions'),
      keyCreatedMs: fields.milliseconds('keyCreatedMs'),
      keyRotatedMs: fields.milliseconds('keyRotatedMs'),
      keyRotations: fields.number('keyRotations'),
      keyExpires: fields.text('keyExpires'),
      keyExpiresMs: fields.milliseconds('keyExpiresMs'),
      reservedName: fields.text('reservedName'),
      silentSinceMs: fields.milliseconds('silentSinceMs'),
    })
    return true
  }

  /** @param now when it counts as last seen. */
  loadLive(now: number, nodeId: NodeId, fields: Fields): boolean {
    const account = this.#accounts.get(nodeId)
    if (account === undefined || fields.text('endpoint') === '') return false
    const hostname = this.#idByHostname.has(fields.text('hostname')) ? '' : fields.text('hostname')
    if (hostname !== '') this.#idByHostname.set(hostname, nodeId)
    this.#live.set(nodeId, {
      nodeId,
      account,
      endpoint: fields.text('endpoint'),
      udpAddress: fields.text('udpAddress'),
      lanEndpoints: fields.texts('lanEndpoints'),
      relayOnly: fields.flag('relayOnly'),
      extended: fields.flag('extended'),
      version: fields.text('version'),
      public: fields.flag('public'),
      hostname,
      tags: fields.texts('tags'),
      taskExec: fields.flag('taskExec'),
      poloScore: fields.integer('poloScore') ?? 0,
      externalId: fields.text('externalId'),
      lastSeenMs: now,
      ...NO_PROOFS,
    })
    return true
  }

  #indexAccount(account: Account): void {
    this.#accounts.set(account.nodeId, account)
    this.#idByKey.set(account.publicKey, account.nodeId)
    if (account.owner !== '' && !this.#idByOwner.has(account.owner)) this.#idByOwner.set(account.owner, account.nodeId)
    if (account.reservedName !== '') this.#idByReserved.set(account.reservedName, account.nodeId)
    if (!account.signedOnce) this.#unproven++
    this.#nextNodeId = Math.max(this.#nextNodeId, account.nodeId + 1)
  }
}

const NO_PROOFS: RepeatedProofs = { heartbeatProof: '', pollProof: '' }
