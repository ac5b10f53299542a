/** The texts with which a node proves its id on a WebSocket: as a daemon of 1.18 writes and reads them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  AUTH_OK,
  compatAuthText,
  encodeAuthChallenge,
  encodeAuthReply,
  isAuthOk,
  isOwnServer,
  parseAuthChallenge,
  parseAuthReply,
} from '../../../src/wire/compat-auth.ts'

const CHALLENGE = { nonce: 'ab'.repeat(32), ts: 1_790_000_000 }
const REPLY = { nodeId: 7, publicKey: new Uint8Array(32).fill(1), signature: new Uint8Array(64).fill(2) }

test('each text is read as it was written', () => {
  assert.deepEqual(parseAuthChallenge(encodeAuthChallenge(CHALLENGE)), CHALLENGE)
  assert.deepEqual(parseAuthReply(encodeAuthReply(REPLY)), REPLY)
  assert.equal(compatAuthText(7, CHALLENGE), `compat_auth:7:1790000000:${CHALLENGE.nonce}`)
  assert.ok(isAuthOk(AUTH_OK) && isOwnServer(AUTH_OK))
  assert.ok(isAuthOk('{"type":"auth_ok"}') && !isOwnServer('{"type":"auth_ok"}'))
})

test('anything else is refused, without an exception', () => {
  const challenge = (change: object): string =>
    JSON.stringify({ ...JSON.parse(encodeAuthChallenge(CHALLENGE)), ...change })
  const reply = (change: object): string => JSON.stringify({ ...JSON.parse(encodeAuthReply(REPLY)), ...change })
  for (const text of [
    '',
    'null',
    '[]',
    '{',
    challenge({ type: 'auth_ok' }),
    challenge({ nonce: 'AB'.repeat(32) }),
    challenge({ nonce: 'ab' }),
    challenge({ nonce: 7 }),
    challenge({ ts: -1 }),
    challenge({ ts: 1.5 }),
    challenge({ ts: '1' }),
    challenge({ filler: 'x'.repeat(2_000) }),
  ])
    assert.equal(parseAuthChallenge(text), undefined, text.slice(0, 80))
  for (const text of [
    '',
    '"auth_reply"',
    reply({ type: 'auth_challenge' }),
    reply({ node_id: 0 }),
    reply({ node_id: 2 ** 32 }),
    reply({ node_id: '7' }),
    reply({ public_key: 'AAAA' }),
    reply({ public_key: '?' }),
    reply({ sig: 'AAAA' }),
    reply({ sig: null }),
    reply({ filler: 'x'.repeat(2_000) }),
  ])
    assert.equal(parseAuthReply(text), undefined, text.slice(0, 80))
  assert.ok(!isAuthOk('{"type":"auth_challenge"}') && !isAuthOk('auth_ok'))
})
