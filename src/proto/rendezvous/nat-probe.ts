/**
 * Determines our NAT type (the tests of RFC 5780, with our own beacon). Our beacon has a second socket: whether an
 * unsolicited answer from there arrives shows how the NAT filters; whether that socket sees us at the same endpoint
 * shows how it maps. Any other beacon takes the request for a plain discover, and the type stays unknown until peers
 * report where they see us. Filtering comes first, because our own request to the second socket opens the filter.
 */
import { equalBytes } from '../../base/bytes.ts'
import type { Endpoint, Instant, NodeId } from '../../base/types.ts'
import { sameEndpoint } from '../../base/types.ts'
import type { DiscoverAnswer } from '../../wire/beacon-messages.ts'
import { encodeQuestion, TRANSACTION_BYTES } from '../../wire/beacon-messages.ts'
import type { NatFiltering, NatMapping } from '../../wire/path-hello.ts'
import type { Asker } from './beacon-client.ts'
import { NAT_PROBE_MS, NAT_PROBE_PATIENCE_MS } from './constants.ts'

export class NatProbe {
  mapping: NatMapping = 'unknown'
  filtering: NatFiltering = 'unknown'
  /** Whether the beacon is ours and has a second socket; undefined if unknown. */
  supported: boolean | undefined
  readonly #beacon: Endpoint
  readonly #ownEndpoints: () => readonly Endpoint[]
  readonly #asker: Asker
  #transaction: Uint8Array = new Uint8Array(0) // of the questions of this phase
  #phase: 'idle' | 'filtering' | 'mapping' = 'idle'
  #plain: Endpoint | undefined // as seen by a beacon that may be a different implementation
  #first: Endpoint | undefined // as the beacon's first socket sees us
  #secondPort = 0
  #attempts = 0
  #nextAt: Instant = Infinity
  #nodeId: NodeId = 0

  /** @param ownEndpoints where our socket can be reached on our own interfaces. */
  constructor(beacon: Endpoint, ownEndpoints: () => readonly Endpoint[], asker: Asker) {
    this.#beacon = beacon
    this.#ownEndpoints = ownEndpoints
    this.#asker = asker
  }

  get busy(): boolean {
    return this.#phase !== 'idle'
  }

  /** Start, or start again: our network has changed, or the NAT gave us a new endpoint. */
  start(now: Instant, nodeId: NodeId): void {
    this.#nodeId = nodeId
    this.#begin(now, 'filtering')
    this.#first = this.#plain = undefined
    this.supported = undefined
  }

  /** The second socket of our beacon, whose answers are accepted too. */
  isSecond(source: Endpoint): boolean {
    return this.#secondPort !== 0 && source.port === this.#secondPort && source.address === this.#beacon.address
  }

  /**
   * The unsolicited answer from the second socket may overtake the one that names its port: from the beacon's address
   * it is accepted while we wait for it. @returns true if it is such an answer.
   */
  mayBeSecond(source: Endpoint): boolean {
    return this.isSecond(source) || (this.#phase === 'filtering' && source.address === this.#beacon.address)
  }

  /** Whether a reply answers a question of this phase, or may: other beacon implementations repeat no transaction. */
  expects(answer: DiscoverAnswer | undefined): boolean {
    return this.busy && (answer === undefined || equalBytes(answer.transaction, this.#transaction))
  }

  /** Takes an expected reply. @returns true if this determines or changes the type. */
  handleReply(now: Instant, endpoint: Endpoint, answer: DiscoverAnswer | undefined): boolean {
    if (answer === undefined || answer.secondPort === 0) {
      // perhaps only the answer to an earlier plain discover
      this.#plain = endpoint
      return false
    }
    this.supported = true
    this.#secondPort = answer.secondPort
    if (this.#phase === 'mapping') return answer.isFromSecond && this.#onSecondSight(endpoint)
    if (answer.isFromSecond) {
      this.filtering = 'port-independent' // it arrived unsolicited
      this.#first ??= endpoint // of the question, which went to the first socket
      this.#begin(now, 'mapping')
    } else this.#first = endpoint
    return false
  }

  /** A peer at an address other than the beacon's reports where it sees us. @returns true if this changes the type. */
  handleSeen(seenAt: Endpoint, observed: Endpoint | undefined): boolean {
    if (observed === undefined || this.mapping === 'none' || this.mapping === 'address-and-port-dependent') return false
    const mapping = sameEndpoint(seenAt, observed)
      ? 'endpoint-independent'
      : this.mapping === 'endpoint-independent'
        ? 'address-dependent'
        : this.mapping
    const isNews = mapping !== this.mapping
    this.mapping = mapping
    return isNews
  }

  /** The request that is due now, and the endpoint to send it to. */
  poll(now: Instant): { readonly bytes: Uint8Array; readonly to: Endpoint } | undefined {
    if (now < this.#nextAt || this.#attempts >= NAT_PROBE_MS.length) return undefined
    this.#nextAt = now + NAT_PROBE_MS[this.#attempts]!
    this.#attempts += 1
    const isFirst = this.#phase === 'filtering'
    const question = { transaction: this.#transaction, answerFromSecond: isFirst }
    return {
      bytes: encodeQuestion(isFirst ? this.#nodeId : 0, this.#asker.publicKey, question),
      to: isFirst ? this.#beacon : { address: this.#beacon.address, port: this.#secondPort },
    }
  }

  /**
   * After all questions of a phase: missing answers are evidence too. @returns true if this determines or
   * changes the type.
   */
  handleTimeout(now: Instant): boolean {
    if (this.#phase === 'idle' || this.#attempts < NAT_PROBE_MS.length || now < this.#nextAt) return false
    if (this.#phase === 'filtering' && this.#first !== undefined) {
      this.filtering = 'address-and-port-dependent'
      this.#begin(now, 'mapping')
    } else if (this.#phase === 'filtering' && this.#plain !== undefined) return this.#onForeignBeacon(this.#plain)
    else if (this.#phase === 'filtering') {
      this.#nextAt = now + NAT_PROBE_PATIENCE_MS // no answer at all: the beacon is away, or UDP is blocked
      this.#attempts = 0
    } else {
      // our queries do not reach the second socket: something filters there, and we only know whether there is a NAT
      if (this.#first !== undefined) this.mapping = this.#isOwn(this.#first) ? 'none' : 'unknown'
      this.#finish()
      return true
    }
    return false
  }

  nextTimeout(): Instant {
    return this.#nextAt
  }

  #onForeignBeacon(endpoint: Endpoint): boolean {
    this.supported = false
    const before = this.mapping
    this.mapping = this.#isOwn(endpoint) ? 'none' : this.mapping === 'none' ? 'unknown' : this.mapping
    this.#finish()
    return this.mapping !== before
  }

  #begin(now: Instant, phase: 'filtering' | 'mapping'): void {
    this.#phase = phase
    this.#transaction = this.#asker.random(TRANSACTION_BYTES)
    this.#attempts = 0
    this.#nextAt = now
  }

  #onSecondSight(endpoint: Endpoint): boolean {
    const first = this.#first ?? endpoint
    if (this.#isOwn(endpoint)) this.mapping = 'none'
    else this.mapping = sameEndpoint(first, endpoint) ? 'endpoint-independent' : 'address-and-port-dependent'
    this.#finish()
    return true
  }

  #finish(): void {
    this.#phase = 'idle'
    this.#nextAt = Infinity
  }

  #isOwn(endpoint: Endpoint): boolean {
    return this.#ownEndpoints().some((own) => sameEndpoint(own, endpoint))
  }
}
