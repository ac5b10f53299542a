/**
 * Our half of a session with the registry (extensions.md §7): on each connection a hello, then one signature for this
 * connection to this registry, then requests that carry a number and a code instead of signatures. A registry that
 * answers the hello with an error has no sessions and gets the older signatures; one that has answered it once never
 * gets those again. Above: registry-client.ts, which puts these messages before all others.
 */
import { toBase64 } from '../../base/bytes.ts'
import type { RandomBytes } from '../../base/types.ts'
import type { Identity } from '../../crypto/identity.ts'
import { agreeSessionKey, x25519PublicKey } from '../../crypto/key-agreement.ts'
import { hmac } from '../../crypto/mac.ts'
import { parseRefusal } from '../../wire/registry-messages.ts'
import type { SessionOffer, SessionTerms } from '../../wire/registry-session.ts'
import {
  canonicalRequest,
  parseSessionOffer,
  sessionHello,
  sessionOpen,
  sessionTranscript,
} from '../../wire/registry-session.ts'

type Phase = 'closed' | 'hello_due' | 'hello_sent' | 'open_due' | 'open' | 'unknown_to_registry'

export class RegistrySession {
  readonly #identity: Identity
  readonly #random: RandomBytes
  #phase: Phase = 'closed'
  #certificate: Uint8Array | undefined
  #privateKey: Uint8Array = NO_BYTES
  #offer: SessionOffer | undefined
  #key: Uint8Array = NO_BYTES
  #seq = 0
  #wasOffered = false // by this registry, on any connection

  constructor(identity: Identity, random: RandomBytes) {
    this.#identity = identity
    this.#random = random
  }

  /** @param certificate SHA-256 of the certificate that the registry shows on this connection; undefined: plain TCP. */
  handleConnected(certificate: Uint8Array | undefined): void {
    this.#certificate = certificate
    this.#privateKey = this.#random(32)
    this.#key = NO_BYTES
    this.#seq = 0
    this.#phase = 'hello_due'
  }

  /** Requests wait until it is known what they must carry. */
  get isSettled(): boolean {
    return this.#phase === 'open' || this.#phase === 'unknown_to_registry'
  }

  /** The next message of the session itself. */
  poll(): object | undefined {
    if (this.#phase === 'hello_due') {
      this.#phase = 'hello_sent'
      return sessionHello(x25519PublicKey(this.#privateKey))
    }
    if (this.#phase !== 'open_due') return undefined
    const { nonce, ephemeral: registryEphemeral } = this.#offer!
    const terms: SessionTerms = {
      certificate: this.#certificate,
      nonce,
      clientEphemeral: x25519PublicKey(this.#privateKey),
      registryEphemeral,
      identity: this.#identity.publicKey,
    }
    const transcript = sessionTranscript(terms)
    const key = agreeSessionKey(this.#privateKey, registryEphemeral, transcript)
    this.#privateKey = NO_BYTES
    if (key === 'low_order') {
      this.#phase = 'closed'
      return undefined
    }
    this.#key = key
    this.#phase = 'open' // later messages on the connection are read after it
    return sessionOpen(terms, this.#identity.sign(transcript))
  }

  /** @returns why the connection is unusable, or undefined. */
  handleReply(reply: object): string | undefined {
    if (this.#phase !== 'hello_sent') return parseRefusal(reply)
    const offer = parseSessionOffer(reply)
    if (offer !== undefined) {
      this.#offer = offer
      this.#wasOffered = true
      this.#phase = 'open_due'
      return undefined
    }
    if (this.#wasOffered) return 'the registry no longer offers sessions: has it been replaced?'
    this.#phase = 'unknown_to_registry'
    return undefined
  }

  /** A request as it is sent now. Once there is a session, older signatures are not sent. */
  seal(request: object): object {
    if (this.#phase !== 'open') return request
    this.#seq += 1
    const numbered = { ...request, signature: undefined, seq: this.#seq } // undefined values are not written
    return { ...numbered, mac: toBase64(hmac(this.#key, canonicalRequest(numbered))) }
  }

  toJSON(): string {
    return '[session]'
  } // keys must not reach a log
}

const NO_BYTES = new Uint8Array(0)
