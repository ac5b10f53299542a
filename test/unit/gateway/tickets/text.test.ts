/** A ticket's text and its proof. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { PilotError } from '../../../../src/base/errors.ts'
import {
  fittingTicket,
  formatTicket,
  isProof,
  parseTicket,
  proofOf,
  sameProof,
} from '../../../../src/gateway/tickets/text.ts'
import type { Ticket } from '../../../../src/gateway/tickets/text.ts'

const TICKET: Ticket = {
  expires: 1_795_423_486,
  node: 0xdead_beef,
  key: new Uint8Array(32).fill(3),
  protocol: 'tcp',
  port: 65_535,
  service: 'web',
  registry: '127.0.0.1:9000',
  fingerprint: 'ab'.repeat(32),
  beacon: '127.0.0.1:9001',
  secret: new Uint8Array(16).fill(5),
}

function invalid(text: string): boolean {
  try {
    parseTicket(text)
    return false
  } catch (error) {
    return error instanceof PilotError && error.code === 'TICKET_INVALID'
  }
}

test('encoding and parsing are a round trip, with and without a fingerprint, for both protocols', () => {
  for (const ticket of [
    TICKET,
    {
      ...TICKET,
      fingerprint: undefined,
      protocol: 'udp' as const,
      registry: 'tls://rv.example:9000',
      service: 'größer',
    },
  ])
    assert.deepEqual(parseTicket(formatTicket(ticket)), ticket)
})

test('its text can be selected by a double click, pasted into a command line and put into a QR code', () => {
  assert.match(formatTicket(TICKET), /^pgt1_[A-Za-z0-9_-]{100,250}$/)
})

test('every changed, missing or added letter is detected', () => {
  const text = formatTicket(TICKET)
  for (let at = 0; at < text.length; at++) {
    assert.ok(invalid(text.slice(0, at)), `cut at ${at}`)
    assert.ok(invalid(`${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`), `changed at ${at}`)
  }
  for (const bad of [
    '',
    'pgt1_',
    `${text}A`,
    `${text}=`,
    ` ${text}`,
    text.replace('pgt1', 'pgt2'),
    `pgt1_${'A'.repeat(100_000)}`,
  ])
    assert.ok(invalid(bad), bad.slice(0, 20))
})

test('a ticket without a name, a registry or a port is invalid', () => {
  for (const part of [{ service: '' }, { registry: '' }, { beacon: '' }, { port: 0 }])
    assert.ok(invalid(formatTicket({ ...TICKET, ...part })), JSON.stringify(part))
})

test('the proof is the documented HMAC, fits into a justification, and is valid for one guest and one inviter', () => {
  const [guest, inviter] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
  const proof = proofOf(TICKET.secret, guest, inviter)
  const expected = createHmac('sha256', TICKET.secret)
    .update(Buffer.concat([Buffer.from('pilot-ticket:'), guest, inviter]))
    .digest()
    .subarray(0, 24)
    .toString('base64url')
  assert.equal(proof, `pgt1:${expected}`)
  assert.ok(isProof(proof) && proof.length <= 128)
  assert.ok(sameProof(proof, proofOf(TICKET.secret, guest, inviter)))
  for (const other of [
    proofOf(TICKET.secret, inviter, guest),
    proofOf(TICKET.secret, inviter, inviter),
    proofOf(new Uint8Array(16), guest, inviter),
    '',
    proof.slice(1),
  ])
    assert.ok(!sameProof(proof, other))
})

test('of several addresses, a ticket holds as many of the first ones as fit', () => {
  assert.equal(fittingTicket('a.example:1,b.example:2'), 'a.example:1,b.example:2')
  const many = Array.from({ length: 30 }, (_, i) => `rendezvous-${i}.example:9000`).join(',')
  const registry = fittingTicket(many)
  assert.ok(Buffer.byteLength(registry) <= 255 && many.startsWith(`${registry},`))
  assert.deepEqual(parseTicket(formatTicket({ ...TICKET, registry })).registry, registry)
})
