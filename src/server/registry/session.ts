/**
 * The registry's half of a session (extensions.md §7): one signature per connection, valid only there, and then a code
 * for each request. A code costs microseconds where a signature costs a third of a millisecond.
 */
import { randomBytes } from 'node:crypto'
import type { NodeId } from '../../base/types.ts'
import { fromBase64, toBase64 } from '../../base/bytes.ts'
import { verifySignature } from '../../crypto/identity.ts'
import { agreeSessionKey, x25519PublicKey } from '../../crypto/key-agreement.ts'
import { isHmac } from '../../crypto/mac.ts'
import {
  SESSION_NONCE_BYTES,
  canonicalRequest,
  isNestedTooDeeply,
  sessionOffer,
  sessionTranscript,
} from '../../wire/registry-session.ts'
import type { Fields } from './fields.ts'

/** How a connection to the registry looks from outside. */
export interface Channel {
  /** SHA-256 of the certificate shown on it; undefined: plain TCP. */
  readonly certificate: Uint8Array | undefined
  /** The registry has no certificate: TLS may be terminated in front of it, with one that we do not know. */
  readonly isBehindProxy: boolean
}

export class ClientSession {
  readonly #channel: Channel
  readonly #nonce = new Uint8Array(randomBytes(SESSION_NONCE_BYTES))
  #privateKey: Uint8Array | undefined
  #clientEphemeral: Uint8Array | undefined
  #key: Uint8Array | undefined
  #seq = 0
  /** The node to notify here of mail (extensions.md §8). */
  notified: NodeId | undefined
  /** The key of the session, base64; undefined until one is open. */
  publicKey: string | undefined

  constructor(channel: Channel) {
    this.#channel = channel
  }

  hello(ephemeral: Uint8Array): object | string {
    if (this.#clientEphemeral !== undefined) return 'session already begun'
    this.#clientEphemeral = ephemeral
    this.#privateKey = new Uint8Array(randomBytes(32))
    return sessionOffer({ nonce: this.#nonce, ephemeral: x25519PublicKey(this.#privateKey) })
  }

  open(identity: Uint8Array, certificate: Uint8Array | undefined, signature: Uint8Array): object | string {
    const privateKey = this.#privateKey
    if (privateKey === undefined || this.#clientEphemeral === undefined) return 'session_hello required'
    this.#privateKey = undefined
    if (!this.#isOurs(certificate)) return 'invalid session: the client was shown the certificate of another registry'
    const transcript = sessionTranscript({
      certificate,
      nonce: this.#nonce,
      clientEphemeral: this.#clientEphemeral,
      registryEphemeral: x25519PublicKey(privateKey),
      identity,
    })
    if (!verifySignature(identity, transcript, signature)) return 'signature verification failed'
    const key = agreeSessionKey(privateKey, this.#clientEphemeral, transcript)
    if (key === 'low_order') return 'invalid ephemeral key'
    this.#key = key
    this.publicKey = toBase64(identity)
    return { type: 'session_open_ok' }
  }

  /** Is this the next request of the session, unchanged? */
  covers(request: object, fields: Fields): boolean {
    const mac = fromBase64(fields.text('mac'))
    if (this.#key === undefined || mac === undefined || fields.number('seq') !== this.#seq + 1) return false
    if (isNestedTooDeeply(request)) return false
    if (!isHmac(this.#key, canonicalRequest(request), mac)) return false
    this.#seq += 1
    return true
  }

  #isOurs(certificate: Uint8Array | undefined): boolean {
    const own = this.#channel.certificate
    if (certificate === undefined) return own === undefined
    return this.#channel.isBehindProxy || (own !== undefined && toBase64(own) === toBase64(certificate))
  }
}
