/** Signed request envelopes: what a daemon of release 1.18 wrote is read and written again; its words for what is wrong. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { formatEnvelope, parseEnvelope } from '../../../src/wire/request-envelope.ts'

/** Signed by a daemon; docs/driver.md. */
const HASH = '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'
const TEXT = `pilot-req-v1|000000000001|1796051504|f109c8365cec96f0|${HASH}|aud`
const ENVELOPE = {
  address: { network: 0, node: 1 },
  unixSeconds: 1_796_051_504,
  nonce: 'f109c8365cec96f0',
  bodyHash: HASH,
  audience: 'aud',
}

test('an envelope is read and written again, also one of another network', () => {
  assert.deepEqual(parseEnvelope(TEXT), ENVELOPE)
  assert.deepEqual(formatEnvelope(ENVELOPE), { text: TEXT })
  const elsewhere = { ...ENVELOPE, address: { network: 0xabc, node: 0x1234_5678 } }
  const { text } = formatEnvelope(elsewhere) as { text: string }
  assert.match(text, /\|0abc12345678\|/)
  assert.deepEqual(parseEnvelope(text), elsewhere)
})

test('each field that is wrong is refused in the words of a daemon', () => {
  const changed = (at: number, value: string): string => TEXT.split('|').with(at, value).join('|')
  const wrong: readonly (readonly [text: string, fault: string])[] = [
    ['x', 'reqsig: want 6 fields, got 1'],
    [`${TEXT}|x`, 'reqsig: want 6 fields, got 7'],
    [changed(0, 'pilot-req-v2'), 'reqsig: bad domain "pilot-req-v2"'],
    [changed(1, '00000000001'), 'reqsig: address must be 12 lowercase hex chars'],
    [changed(1, '00000000000A'), 'reqsig: address must be 12 lowercase hex chars'],
    [changed(2, 'x'), 'reqsig: timestamp: non-digit'],
    [changed(2, '-5'), 'reqsig: timestamp: non-digit'],
    [changed(2, '01796051504'), 'reqsig: timestamp: leading zero'],
    [changed(2, '9'.repeat(30)), 'reqsig: timestamp: out of range'],
    [changed(3, 'xx'), 'reqsig: nonce must be 16 lowercase hex chars'],
    [changed(4, 'xx'), 'reqsig: body hash must be 64 lowercase hex chars'],
    [changed(5, ''), 'reqsig: audience must be 1-64 chars'],
    [changed(5, 'a'.repeat(65)), 'reqsig: audience must be 1-64 chars'],
    [changed(5, 'A B'), 'reqsig: audience must match [a-z0-9.-]'],
  ]
  for (const [text, fault] of wrong) assert.equal(parseEnvelope(text), fault)
})

test('nothing that a daemon would refuse is written', () => {
  assert.equal(formatEnvelope({ ...ENVELOPE, nonce: '' }), 'reqsig: nonce must be 16 lowercase hex chars')
  assert.equal(
    formatEnvelope({ ...ENVELOPE, bodyHash: HASH.toUpperCase() }),
    'reqsig: body hash must be 64 lowercase hex chars',
  )
  assert.equal(formatEnvelope({ ...ENVELOPE, audience: 'a|b' }), 'reqsig: audience must match [a-z0-9.-]')
})
