/**
 * The registry without its sockets: every rule of registry.md §2 to §8, synchronous, with the time passed in. A request
 * is one `handle` call; durable changes are queued to the store, and `replyWaits` says whether the reply must wait
 * until the store has flushed. An unknown type is answered `request failed`.
 */
import type { NodeId } from '../../base/types.ts'
import type { NodeKnowledge } from '../beacon/beacon.ts'
import type { RegistryStore } from '../store/store.ts'
import type { RegistryOptions } from './options.ts'
import type { Call } from './request.ts'
import { parseEndpoint } from '../../base/types.ts'
import { mayResolve } from './access.ts'
import { AuditLog } from './audit-log.ts'
import { BeaconList } from './beacon-list.ts'
import { SWEEP_INVITES_EVERY_MS } from './constants.ts'
import { Directory } from './directory.ts'
import { Fields } from './fields.ts'
import { InviteBox } from './invite-box.ts'
import { loadTables } from './load.ts'
import { Mailboxes } from './mailboxes.ts'
import { NetworkTable } from './network-table.ts'
import { DEFAULT_REGISTRY_OPTIONS } from './options.ts'
import { isRepeated } from './request.ts'
import { RateLimiter } from './rate-limiter.ts'
import { REQUESTS } from './requests.ts'
import type { ClientSession } from './session.ts'
import { TrustTable } from './trust-table.ts'

export interface RegistryCounters {
  readonly liveNodes: number
  readonly accounts: number
  readonly trustPairs: number
  readonly networks: number // without the backbone
  readonly requests: number
  readonly refusals: number
  readonly rateLimited: number
  readonly reaped: number
}

export class Registry {
  readonly #options: RegistryOptions
  readonly #tables: Omit<Call, 'now' | 'source' | 'request' | 'session' | 'signer'>
  readonly skippedRecords: number // of the store, damaged or written by a newer version
  #replyWaits = false
  #requests = 0
  #refusals = 0
  #rateLimited = 0
  #reaped = 0
  #sweptInvitesAt = 0

  /** Reads the whole store. @param now Unix ms: nodes in the store count as heard now, and have the usual time to be heard again. */
  constructor(store: RegistryStore, now: number, options: Partial<RegistryOptions> = {}) {
    this.#options = { ...DEFAULT_REGISTRY_OPTIONS, ...options }
    const { compat, adminToken, limits } = this.#options
    this.#tables = {
      directory: new Directory(store),
      trust: new TrustTable(store, compat.has('one-sided-trust')),
      networks: new NetworkTable(store),
      mailboxes: new Mailboxes(store),
      invites: new InviteBox(store),
      beacons: new BeaconList(),
      audit: new AuditLog(store, adminToken !== undefined),
      limiter: new RateLimiter(limits),
      options: this.#options,
    }
    this.skippedRecords = loadTables(this.#tables, store, now)
  }

  get counters(): RegistryCounters {
    return {
      liveNodes: this.#tables.directory.liveCount,
      accounts: this.#tables.directory.accountCount,
      trustPairs: this.#tables.trust.size,
      networks: this.#tables.networks.size,
      requests: this.#requests,
      refusals: this.#refusals,
      rateLimited: this.#rateLimited,
      reaped: this.#reaped,
    }
  }

  /** Whether the reply of the last `handle` promises something and must wait until the store has flushed. */
  get replyWaits(): boolean {
    return this.#replyWaits
  }

  /**
   * One request, one reply. Never throws, whatever the request is.
   * @param now Unix ms.
   * @param sourceIp Canonical text of the TCP source, which becomes the host of the node's endpoint.
   * @param session Of the connection of the request.
   */
  handle(now: number, sourceIp: string, sourcePort: number, request: unknown, session?: ClientSession): object {
    this.#requests++
    this.#replyWaits = false
    const object = typeof request === 'object' && request !== null ? request : {}
    const fields = new Fields(object)
    const isSealed = fields.text('mac') !== '' // before any limit: the session counts its requests
    if (isSealed && session?.covers(object, fields) !== true) return this.#refuse('invalid code of a session')
    const kind = REQUESTS.get(fields.text('type'))
    if (kind === undefined) return this.#refuse('unknown request type')
    if (kind.limit !== undefined && !this.#tables.limiter.take(now, kind.limit.bucket, sourceIp)) {
      return this.#refuse(`rate limited: too many ${kind.limit.what} from ${sourceIp}`)
    }
    const reply = kind.handle({
      ...this.#tables,
      now,
      source: { address: sourceIp, port: sourcePort },
      request: fields,
      session,
      signer: isSealed ? session?.publicKey : undefined,
    })
    if (typeof reply === 'string') return this.#refuse(reply)
    this.#replyWaits = kind.durable === true
    return reply
  }

  /** Does the answer cost a signature check? */
  isDear(request: object): boolean {
    const fields = new Fields(request)
    if (fields.text('mac') !== '' || fields.text('signature') === '') return false
    return !isRepeated(this.#tables.directory, fields)
  }

  /** Nodes in whose mailbox the last `handle` put something. */
  takeNoticed(): readonly NodeId[] {
    return this.#tables.mailboxes.takeNoticed()
  }

  /** Removes what is too old, every SWEEP_EVERY_MS a slice of it. */
  sweep(now: number): void {
    const { directory, trust, networks, beacons, invites, limiter } = this.#tables
    this.#reaped += directory.reap(now)
    directory.forgetSilent(now, (id) => trust.concerns(id) || networks.networksOf(id).length > 0)
    beacons.sweep(now)
    limiter.sweep(now)
    if (now - this.#sweptInvitesAt < SWEEP_INVITES_EVERY_MS) return
    this.#sweptInvitesAt = now
    invites.sweep(now)
  }

  /** The Ed25519 key of a node id, base64; undefined if it belongs to no one. */
  keyOf(nodeId: NodeId): string | undefined {
    return this.#tables.directory.account(nodeId)?.publicKey
  }

  /** What a beacon in the same process may know about nodes (tunnel.md §7.1 [R]). */
  get knowledge(): NodeKnowledge {
    const { directory } = this.#tables
    const trustsUdp = this.#options.compat.has('split-addresses')
    const isAt = (nodeId: NodeId, address: string): boolean => {
      const node = directory.live(nodeId)
      return (
        node !== undefined &&
        (trustsUdp || node.udpAddress === address || parseEndpoint(node.endpoint)?.address === address)
      )
    }
    return {
      knows: (nodeId) => directory.live(nodeId) !== undefined,
      vouchesFor: isAt,
      mayPunch: (requesterId, targetId, address) => {
        const [requester, target] = [directory.live(requesterId), directory.live(targetId)]
        if (requester === undefined || target === undefined || !mayResolve(this.#tables, requester, target))
          return false
        if (target.relayOnly) return false
        return target.public || isAt(requesterId, address)
      },
    }
  }

  /** §1.3: the text is sent only if it contains one of the agreed phrases. */
  #refuse(text: string): object {
    this.#refusals++
    if (text.startsWith('rate limited')) this.#rateLimited++
    return { type: 'error', error: PUBLIC_PHRASES.some((phrase) => text.includes(phrase)) ? text : 'request failed' }
  }
}

const PUBLIC_PHRASES: readonly string[] = [
  'rate limited',
  'enterprise feature',
  'expired',
  'already',
  'not a member',
  'cannot',
  'too many',
  'too long',
  'not found',
  'invalid',
  'required',
]
