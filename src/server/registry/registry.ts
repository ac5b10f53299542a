/**
 * The registry without its sockets: every rule of registry.md §2 to §5 and §7, synchronous, with the time handed in.
 * A request is one `handle` call; durable changes go to the store behind its back, and `replyWaits` tells whether
 * the reply may leave only after the store has flushed. What an unknown type is, and what is not served here
 * (networks, scores, administration, replication), is answered alike: `request failed`.
 */
import type { RegistryStore, StoredRecord } from '../store/store.ts'
import type { RegistryOptions } from './options.ts'
import type { Bucket } from './rate-limiter.ts'
import type { Call, Handler } from './request.ts'
import { BeaconList } from './beacon-list.ts'
import { beaconList, beaconRegister } from './beacons.ts'
import { REAP_AFTER_MS } from './constants.ts'
import { Directory } from './directory.ts'
import { Fields } from './fields.ts'
import { pollHandshakes, requestHandshake, respondHandshake } from './handshakes.ts'
import { Mailboxes } from './mailboxes.ts'
import { resolveHostname, setHostname } from './names.ts'
import { deregister, getKeyInfo, heartbeat, lookup, punch, resolve, rotateKey, setTags, setTaskExec, setVisibility } from './nodes.ts'
import { DEFAULT_REGISTRY_OPTIONS } from './options.ts'
import { RateLimiter } from './rate-limiter.ts'
import { register } from './register.ts'
import { checkTrust, reportTrust, revokeTrust } from './trust.ts'
import { TrustTable } from './trust-table.ts'

export interface RegistryCounters {
  readonly liveNodes: number
  readonly accounts: number
  readonly trustPairs: number
  readonly requests: number
  readonly refusals: number
  readonly rateLimited: number
  readonly reaped: number
}

export class Registry {
  readonly #options: RegistryOptions
  readonly #directory: Directory
  readonly #trust: TrustTable
  readonly #mailboxes: Mailboxes
  readonly #beacons = new BeaconList()
  readonly #limiter: RateLimiter
  readonly skippedRecords: number // of the store, damaged or written by a newer version
  #replyWaits = false
  #requests = 0
  #refusals = 0
  #rateLimited = 0
  #reaped = 0

  /** Reads the whole store. */
  constructor (store: RegistryStore, options: Partial<RegistryOptions> = {}) {
    this.#options = { ...DEFAULT_REGISTRY_OPTIONS, ...options }
    this.#directory = new Directory(store)
    this.#trust = new TrustTable(store, this.#options.compatOneSidedTrust)
    this.#mailboxes = new Mailboxes(store)
    this.#limiter = new RateLimiter(this.#options.limits)
    this.skippedRecords = this.#load(store.load())
  }

  get counters (): RegistryCounters {
    return {
      liveNodes: this.#directory.liveCount,
      accounts: this.#directory.accountCount,
      trustPairs: this.#trust.size,
      requests: this.#requests,
      refusals: this.#refusals,
      rateLimited: this.#rateLimited,
      reaped: this.#reaped,
    }
  }

  /** About the last `handle`: its reply promises something, so it must not leave before the store has flushed. */
  get replyWaits (): boolean { return this.#replyWaits }

  /**
   * One request, one reply. Never throws, whatever the request is.
   * @param now Unix ms.
   * @param sourceIp Canonical text of the TCP source, which becomes the host of the node's endpoint.
   */
  handle (now: number, sourceIp: string, sourcePort: number, request: unknown): object {
    this.#requests++
    this.#replyWaits = false
    const fields = new Fields(typeof request === 'object' && request !== null ? request : {})
    const kind = REQUESTS.get(fields.text('type'))
    if (kind === undefined) return this.#refuse('unknown request type')
    if (kind.limit !== undefined && !this.#limiter.take(now, kind.limit.bucket, sourceIp)) {
      return this.#refuse(`rate limited: too many ${kind.limit.what} from ${sourceIp}`)
    }
    const reply = kind.handle(this.#call(now, sourceIp, sourcePort, fields))
    if (typeof reply === 'string') return this.#refuse(reply)
    this.#replyWaits = kind.durable === true
    return reply
  }

  /** Removes what has been silent too long (§3.3); once a minute. */
  sweep (now: number): void {
    this.#reaped += this.#directory.reap(now - REAP_AFTER_MS)
    this.#beacons.sweep(now)
    this.#limiter.sweep(now)
  }

  #call (now: number, address: string, port: number, request: Fields): Call {
    return {
      now,
      source: { address, port },
      request,
      directory: this.#directory,
      trust: this.#trust,
      mailboxes: this.#mailboxes,
      beacons: this.#beacons,
      limiter: this.#limiter,
      options: this.#options,
    }
  }

  /** §1.3: the text goes out only if it holds one of the agreed phrases. */
  #refuse (text: string): object {
    this.#refusals++
    if (text.startsWith('rate limited')) this.#rateLimited++
    return { type: 'error', error: PUBLIC_PHRASES.some((phrase) => text.includes(phrase)) ? text : 'request failed' }
  }

  /** Accounts before nodes, which need them, and messages in order of time. @returns How many records made no sense. */
  #load (records: readonly StoredRecord[]): number {
    const sorted = records.map(({ key, value }) => {
      const slash = key.indexOf('/')
      const fields = new Fields(typeof value === 'object' && value !== null ? value : {})
      return { kind: key.slice(0, Math.max(0, slash)), name: key.slice(slash + 1), fields, atMs: fields.milliseconds('atMs') }
    }).sort((a, b) => a.atMs - b.atMs)
    let skipped = 0
    for (const { kind, name, fields } of sorted) if (kind === 'account' && !this.#directory.loadAccount(idOf(name), fields)) skipped++
    for (const { kind, name, fields } of sorted) {
      if (kind === 'node' && !this.#directory.loadLive(idOf(name), fields)) skipped++
      if (kind === 'trust' && !this.#trust.load(name, fields)) skipped++
      if ((kind === 'request' || kind === 'response') && !this.#mailboxes.load(kind, name, fields)) skipped++
    }
    return skipped
  }
}

function idOf (name: string): number {
  const id = /^\d{1,10}$/.test(name) ? Number(name) : 0
  return id <= 0xffff_fffe ? id : 0
}

interface RequestKind {
  readonly handle: Handler
  readonly limit?: { readonly bucket: Bucket, readonly what: string }
  readonly durable?: true
}

/** To serve another request, write its handler and add a line. */
const REQUESTS: ReadonlyMap<string, RequestKind> = new Map<string, RequestKind>([
  ['register', { handle: register, durable: true }], // limits itself: known keys pass
  ['heartbeat', { handle: heartbeat, limit: { bucket: 'heartbeat', what: 'heartbeats' } }],
  ['lookup', { handle: lookup, limit: { bucket: 'query', what: 'queries' } }],
  ['resolve', { handle: resolve, limit: { bucket: 'resolve', what: 'resolve requests' } }],
  ['resolve_hostname', { handle: resolveHostname, limit: { bucket: 'query', what: 'queries' } }],
  ['set_visibility', { handle: setVisibility, durable: true }],
  ['set_hostname', { handle: setHostname, durable: true }],
  ['set_tags', { handle: setTags, durable: true }],
  ['set_task_exec', { handle: setTaskExec, durable: true }],
  ['deregister', { handle: deregister, durable: true }],
  ['rotate_key', { handle: rotateKey, durable: true }],
  ['get_key_info', { handle: getKeyInfo }],
  ['punch', { handle: punch }],
  ['report_trust', { handle: reportTrust, durable: true }],
  ['revoke_trust', { handle: revokeTrust, durable: true }],
  ['check_trust', { handle: checkTrust }],
  ['request_handshake', { handle: requestHandshake, durable: true }],
  ['poll_handshakes', { handle: pollHandshakes }], // what was handed over and not yet struck out comes twice, never gets lost
  ['respond_handshake', { handle: respondHandshake, durable: true }],
  ['beacon_register', { handle: beaconRegister }],
  ['beacon_list', { handle: beaconList }],
])

const PUBLIC_PHRASES: readonly string[] = [
  'rate limited', 'enterprise feature', 'expired', 'already', 'not a member', 'cannot', 'too many', 'too long', 'not found', 'invalid', 'required',
]
