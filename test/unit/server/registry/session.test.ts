/** The registry's half of a session, against a client with a session that sends what no node would. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toBase64 } from '../../../../src/base/bytes.ts'
import { createIdentity } from '../../../../src/crypto/identity.ts'
import { agreeSessionKey, x25519PublicKey } from '../../../../src/crypto/key-agreement.ts'
import { hmac } from '../../../../src/crypto/mac.ts'
import { Fields } from '../../../../src/server/registry/fields.ts'
import { ClientSession } from '../../../../src/server/registry/session.ts'
import { canonicalRequest, parseSessionOffer, sessionTranscript } from '../../../../src/wire/registry-session.ts'

/** An open session and its key. */
function open(): { session: ClientSession; key: Uint8Array } {
  const session = new ClientSession({ certificate: undefined, isBehindProxy: false })
  const identity = createIdentity(new Uint8Array(32).fill(1))
  const secret = new Uint8Array(32).fill(2)
  const clientEphemeral = x25519PublicKey(secret)
  const offer = parseSessionOffer(session.hello(clientEphemeral) as object)!
  const terms = {
    certificate: undefined,
    nonce: offer.nonce,
    clientEphemeral,
    registryEphemeral: offer.ephemeral,
    identity: identity.publicKey,
  }
  const transcript = sessionTranscript(terms)
  assert.deepEqual(session.open(identity.publicKey, undefined, identity.sign(transcript)), { type: 'session_open_ok' })
  return { session, key: agreeSessionKey(secret, offer.ephemeral, transcript) as Uint8Array }
}

function covers(session: ClientSession, request: object): boolean {
  return session.covers(request, new Fields(request))
}

test('lists within lists, as many as a frame holds, are refused; the next request is covered', () => {
  const { session, key } = open()
  for (const [begin, end] of [
    ['[', ']'],
    ['{"a":', '}'],
  ] as const) {
    const levels = Math.floor(60_000 / (begin.length + end.length))
    const text = `{"type":"lookup","seq":1,"mac":"AA==","tags":${begin.repeat(levels)}1${end.repeat(levels)}}`
    assert.equal(covers(session, JSON.parse(text) as object), false)
  }
  const request = { type: 'set_tags', node_id: 1, tags: ['a', 'b'], seq: 1 }
  assert.equal(covers(session, { ...request, mac: toBase64(hmac(key, canonicalRequest(request))) }), true)
})
