/** Registry sessions, byte for byte as in the vectors, and the text covered by the codes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromBase64, toBase64, toHex, utf8 } from '../../../src/base/bytes.ts'
import { createIdentity } from '../../../src/crypto/identity.ts'
import { agreeSessionKey, x25519PublicKey } from '../../../src/crypto/key-agreement.ts'
import { hmac, isHmac } from '../../../src/crypto/mac.ts'
import type { SessionTerms } from '../../../src/wire/registry-session.ts'
import {
  canonicalRequest,
  parseSessionOffer,
  sessionHello,
  sessionOffer,
  sessionOpen,
  sessionTranscript,
} from '../../../src/wire/registry-session.ts'
import { hex, loadVectors } from '../../vectors/load.ts'

const vectors = loadVectors<{ registry_session: SessionVectors }>('extensions').registry_session

test('hello, offer, signature, key and code match the vectors', () => {
  const identity = createIdentity(hex(vectors.identity_seed))
  const secret = hex(vectors.client_ephemeral_private)
  const clientEphemeral = x25519PublicKey(secret)
  assert.deepEqual(sessionHello(clientEphemeral), vectors.hello)
  const offer = parseSessionOffer(vectors.offer)
  assert.ok(offer !== undefined)
  assert.deepEqual(sessionOffer(offer), vectors.offer)
  for (const session of vectors.sessions) {
    const terms: SessionTerms = {
      certificate: session.certificate === null ? undefined : hex(session.certificate),
      nonce: offer.nonce,
      clientEphemeral,
      registryEphemeral: offer.ephemeral,
      identity: identity.publicKey,
    }
    const transcript = sessionTranscript(terms)
    assert.equal(toHex(transcript), session.transcript)
    assert.deepEqual(sessionOpen(terms, identity.sign(transcript)), session.open)
    const key = agreeSessionKey(secret, offer.ephemeral, transcript) as Uint8Array
    assert.equal(toHex(key), session.key)
    const text = canonicalRequest({ ...session.request, mac: 'whatever' })
    assert.deepEqual(text, utf8(session.canonical))
    assert.equal(toBase64(hmac(key, text)), session.mac)
    assert.ok(isHmac(key, text, fromBase64(session.mac)!))
  }
})

test('the code ignores field order and unsent fields, but covers every value', () => {
  const text = (request: object): string => Buffer.from(canonicalRequest(request)).toString()
  assert.equal(
    text({ b: 1, a: { d: [1, { f: 2, e: 3 }], c: undefined } }),
    text({ a: { d: [1, { e: 3, f: 2 }] }, b: 1 }),
  )
  assert.notEqual(text({ a: 1 }), text({ a: '1' }))
  assert.notEqual(text({ a: ['b', 'c'] }), text({ a: ['c', 'b'] }))
  const parsed = JSON.parse('{"__proto__":1,"a":{"mac":2},"mac":3}') as object
  assert.equal(text(parsed), '{"__proto__":1,"a":{"mac":2}}')
})

test('an offer with a missing part or a wrong length is not an offer', () => {
  for (const change of [{ type: 'error' }, { nonce: 'AA==' }, { ephemeral: '' }, { ephemeral: 5 }])
    assert.equal(parseSessionOffer({ ...vectors.offer, ...change }), undefined)
})

interface SessionVectors {
  client_ephemeral_private: string
  identity_seed: string
  hello: object
  offer: object
  sessions: {
    certificate: string | null
    transcript: string
    open: object
    key: string
    request: object
    canonical: string
    mac: string
  }[]
}
