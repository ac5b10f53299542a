/** Who may talk to us: asked, approved, rejected, revoked, and what a changed key means. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { IncomingRequest } from '../../../../src/proto/trust/trust-book.ts'
import { TrustBook } from '../../../../src/proto/trust/trust-book.ts'

const KEY = new Uint8Array(32).fill(1)
const OTHER_KEY = new Uint8Array(32).fill(2)

function request(
  node: number,
  hostname: string | undefined,
  key: Uint8Array,
  justification: string,
  time: string,
): IncomingRequest {
  return { node, hostname, key, justification, time, isExpected: false }
}

test('a request waits for a person, unless it was wished for', () => {
  const book = new TrustBook()
  assert.equal(book.handleRequest(request(7, 'agent-b', KEY, 'why', 'now')), 'pending')
  assert.equal(book.isTrusted(7), false)
  book.request({ peer: 'agent-c', node: undefined, hostname: 'agent-c', reason: '' })
  book.request({ peer: '0:0000.0000.0009', node: 9, hostname: undefined, reason: '' })
  assert.equal(book.handleRequest(request(8, 'agent-c', KEY, 'why', 'now')), 'approve')
  assert.equal(book.handleRequest(request(9, undefined, KEY, 'why', 'now')), 'approve')
})

test('who shares a network with us is approved without a question, and the reason is kept', () => {
  const book = new TrustBook()
  assert.equal(book.handleRequest({ ...request(7, 'agent-b', KEY, '', 'now'), isExpected: true }), 'approve')
  book.approve(7, 'agent-b', KEY, false, 'now', 3)
  assert.equal(book.save().trusted[0]!.network, 3)
  assert.equal(book.handleRequest({ ...request(7, 'agent-b', OTHER_KEY, '', 'now'), isExpected: true }), 'key_changed')
})

test('a request that is repeated word for word is told once', () => {
  const book = new TrustBook()
  assert.equal(book.handleRequest(request(7, 'agent-b', KEY, 'why', 'now')), 'pending')
  assert.equal(book.handleRequest(request(7, 'agent-b', KEY, 'why', 'later')), 'still_pending')
  assert.equal(book.handleRequest(request(7, 'agent-b', KEY, 'because', 'later')), 'pending')
})

test('approval ends the wish, is saved, and keeps the key', () => {
  const book = new TrustBook()
  book.request({ peer: 'agent-b', node: undefined, hostname: 'agent-b', reason: '' })
  book.approve(7, 'agent-b', KEY, true, 'now')
  assert.deepEqual(book.outgoing, [])
  assert.ok(book.isTrusted(7))
  assert.deepEqual(book.keyOf(7), KEY)
  assert.equal(book.takeDirty(), true)
  assert.equal(book.takeDirty(), false)
  const again = new TrustBook()
  again.load(book.save())
  assert.ok(again.isTrusted(7))
})

test('a trusted node with another key is not trusted on', () => {
  const book = new TrustBook()
  book.approve(7, 'agent-b', KEY, true, 'now')
  assert.equal(book.handleRequest(request(7, 'agent-b', KEY, '', 'now')), 'already_trusted')
  assert.equal(book.handleRequest(request(7, 'agent-b', OTHER_KEY, '', 'now')), 'key_changed')
  assert.deepEqual(book.keyOf(7), KEY)
})

test('the list of requests is bounded, and one of a node replaces its last', () => {
  const book = new TrustBook()
  for (let node = 1; node <= 256; node++)
    assert.equal(book.handleRequest(request(node, undefined, KEY, '', 'now')), 'pending')
  assert.equal(book.handleRequest(request(300, undefined, KEY, '', 'now')), 'full')
  assert.equal(book.handleRequest(request(5, undefined, KEY, 'again', 'later')), 'pending')
  assert.equal(book.pending.length, 256)
})

test('strangers do not fill the table of hostnames', () => {
  const book = new TrustBook()
  for (let node = 1; node < 100; node++) book.noteHostname(node, `agent-${node}`)
  assert.equal(book.nodeNamed('agent-5'), undefined)
})

test('revocation forgets the node and the wish for it', () => {
  const book = new TrustBook()
  book.approve(7, 'agent-b', KEY, true, 'now')
  book.request({ peer: 'agent-b', node: undefined, hostname: 'agent-b', reason: '' })
  assert.equal(book.revoke(7), true)
  assert.equal(book.revoke(7), false)
  assert.deepEqual([book.isTrusted(7), book.outgoing.length, book.hostnameOf(7)], [false, 0, undefined])
})

test('a revocation of ours lasts over a restart, by key, whatever a configuration wishes; a person lifts it', () => {
  const standing = { peer: 'agent-b', node: undefined, hostname: 'agent-b', reason: '' }
  const book = new TrustBook()
  book.approve(7, 'agent-b', KEY, true, 'now')
  book.revoke(7, true)
  const again = new TrustBook()
  again.load(book.save())
  assert.deepEqual(
    [
      again.isRevoked(standing),
      again.isRevoked({ ...standing, hostname: 'agent-c' }),
      again.isRevoked({ ...standing, hostname: undefined, node: 7 }),
    ],
    [true, false, true],
  )
  assert.equal(again.handleRequest(request(8, 'agent-b', KEY, '', 'now')), 'pending', 'also under another id')
  again.approve(8, 'agent-b', KEY, false, 'now')
  assert.deepEqual([again.isRevoked(standing), again.save().revoked], [false, undefined])
  const third = new TrustBook()
  third.load(book.save())
  third.request(standing)
  assert.equal(third.isRevoked(standing), false)
  assert.equal(third.handleRequest(request(7, 'agent-b', KEY, '', 'now')), 'approve')
  const theirs = new TrustBook()
  theirs.approve(7, 'agent-b', KEY, true, 'now')
  theirs.revoke(7)
  assert.equal(theirs.isRevoked(standing), false, 'what a peer takes back we may be given again')
})

test('the owner of a trusted key is trusted under another id too, but not under the name of another', () => {
  const book = new TrustBook()
  book.approve(7, 'agent-b', KEY, true, 'then')
  book.approve(8, 'agent-c', OTHER_KEY, true, 'then')
  assert.equal(book.handleRequest(request(9, 'agent-c', KEY, '', 'now')), 'key_changed', 'the name is of another')
  assert.equal(book.handleRequest(request(8, 'agent-b', KEY, '', 'now')), 'approve', 'they have swapped ids')
  book.approve(8, 'agent-b', KEY, true, 'now')
  assert.deepEqual([book.isTrusted(7), book.keyOf(8)], [false, KEY])
  assert.deepEqual(
    book.save().trusted.map(({ publicKey }) => publicKey).length,
    2,
    'who had the id before is not forgotten',
  )
  assert.equal(book.handleRequest(request(7, 'agent-c', OTHER_KEY, '', 'now')), 'approve')
})

test('a key that a person has replaced is worth nothing any more', () => {
  const book = new TrustBook()
  book.approve(7, 'agent-b', KEY, true, 'then')
  book.approve(7, 'agent-b', OTHER_KEY, true, 'now')
  assert.equal(book.save().trusted.length, 1)
  assert.notEqual(book.handleRequest(request(9, undefined, KEY, '', 'now')), 'approve')
})

test('our own id is kept with the trust that was given under it, and is no reason to write without any', () => {
  const book = new TrustBook()
  book.ownId = 5
  assert.equal(book.takeDirty(), false)
  book.approve(7, 'agent-b', KEY, true, 'now')
  book.takeDirty()
  const again = new TrustBook()
  again.load(book.save())
  assert.equal(again.ownId, 5)
  again.ownId = 6
  assert.equal(again.takeDirty(), true)
})
