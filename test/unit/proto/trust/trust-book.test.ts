/** Which nodes may talk to us: requested, approved, rejected, revoked, and what a changed key means. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toBase64 } from '../../../../src/base/bytes.ts'
import type { Approval, ApprovedBy, IncomingRequest } from '../../../../src/proto/trust/requests.ts'
import { parsePeerName } from '../../../../src/base/address.ts'
import { TrustBook } from '../../../../src/proto/trust/trust-book.ts'
import { formatTrustFile, parseTrustFile } from '../../../../src/wire/trust-file.ts'
import type { TrustFile } from '../../../../src/wire/trust-file.ts'

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

function approval(node: number, hostname: string | undefined, key: Uint8Array, by: ApprovedBy = 'choice'): Approval {
  return { node, hostname, key, by, mutual: true, time: '2026-11-30T00:00:00.000Z' }
}

test('a request waits for a person unless we requested trust too', () => {
  const book = new TrustBook()
  assert.equal(book.handleRequest(request(7, 'agent-b', KEY, 'why', 'now')), 'pending')
  assert.equal(book.isTrusted(7), false)
  book.request({ peer: 'agent-c', node: undefined, hostname: 'agent-c', reason: '' })
  book.request({ peer: '0:0000.0000.0009', node: 9, hostname: undefined, reason: '' })
  assert.equal(book.handleRequest(request(8, 'agent-c', KEY, 'why', 'now')), 'wished')
  assert.equal(book.handleRequest(request(9, undefined, KEY, 'why', 'now')), 'wished')
})

test('a member of a shared network is approved without a person, and the reason is kept', () => {
  const book = new TrustBook()
  assert.equal(book.handleRequest({ ...request(7, 'agent-b', KEY, '', 'now'), isExpected: true }), 'expected')
  book.approve(approval(7, 'agent-b', KEY, { network: 3 }))
  assert.equal(book.save().trusted[0]!.network, 3)
  assert.equal(book.handleRequest({ ...request(7, 'agent-b', OTHER_KEY, '', 'now'), isExpected: true }), 'key_changed')
})

test('an exactly repeated request is reported once', () => {
  const book = new TrustBook()
  assert.equal(book.handleRequest(request(7, 'agent-b', KEY, 'why', 'now')), 'pending')
  assert.equal(book.handleRequest(request(7, 'agent-b', KEY, 'why', 'later')), 'still_pending')
  assert.equal(book.handleRequest(request(7, 'agent-b', KEY, 'because', 'later')), 'pending')
})

test('approval fulfils our request, is saved, and keeps the key', () => {
  const book = new TrustBook()
  book.request({ peer: 'agent-b', node: undefined, hostname: 'agent-b', reason: '' })
  book.approve(approval(7, 'agent-b', KEY, 'choice'))
  assert.deepEqual(book.outgoing, [])
  assert.ok(book.isTrusted(7))
  assert.deepEqual(book.keyOf(7), KEY)
  assert.equal(book.takeDirty(), true)
  assert.equal(book.takeDirty(), false)
  const again = new TrustBook()
  again.load(book.save())
  assert.ok(again.isTrusted(7))
})

test('a trusted node with another key is no longer trusted', () => {
  const book = new TrustBook()
  book.approve(approval(7, 'agent-b', KEY, 'choice'))
  assert.equal(book.handleRequest(request(7, 'agent-b', KEY, '', 'now')), 'already_trusted')
  assert.equal(book.handleRequest(request(7, 'agent-b', OTHER_KEY, '', 'now')), 'key_changed')
  assert.deepEqual(book.keyOf(7), KEY)
})

const keyOf = (n: number): Uint8Array => new Uint8Array(32).fill(n >> 8, 0, 16).fill(n & 0xff, 16)

test('a full request list makes room: from the largest group with the same text, the one not repeated for longest is dropped', () => {
  const book = new TrustBook()
  assert.equal(book.handleRequest(request(1_000, 'bob', KEY, 'it is me, Bob', 'now')), 'pending')
  for (let node = 1; node < 256; node++)
    assert.equal(book.handleRequest(request(node, undefined, keyOf(node), 'let me in', 'now')), 'pending')
  assert.equal(book.handleRequest(request(1, undefined, keyOf(1), 'let me in', 'now')), 'still_pending')
  assert.equal(book.handleRequest(request(300, undefined, keyOf(300), 'let me in', 'now')), 'pending')
  assert.equal(book.pending.length, 256)
  assert.deepEqual(
    book.takeDroppedRequests().map(({ entry, why }) => [entry.nodeId, why]),
    [[2, 'full']],
  )
  assert.deepEqual(book.takeDroppedRequests(), [])
  assert.equal(book.pendingOf(1_000)?.hostname, 'bob', 'a flood does not displace a unique request')
  assert.equal(book.handleRequest(request(5, undefined, keyOf(5), 'again', 'later')), 'pending', 'replaces its last')
  assert.equal(book.pending.length, 256)
})

test('constantly changing requests displace those not repeated; a request for an awaited name stays', () => {
  const book = new TrustBook()
  book.handleRequest(request(900, 'bob', KEY, '0', 'now'))
  book.request({ peer: 'bob', node: undefined, hostname: 'bob', reason: '' })
  for (let node = 1; node <= 600; node++) book.handleRequest(request(node, undefined, keyOf(node), String(node), 'now'))
  assert.equal(book.pending.length, 256)
  assert.ok(book.pendingOf(900) !== undefined && book.pendingOf(600) !== undefined && book.pendingOf(1) === undefined)
})

test('a request that is not repeated expires; one that is does not', () => {
  const book = new TrustBook()
  book.handleRequest(request(1, undefined, keyOf(1), '', '2026-10-01T00:00:00.000Z'))
  book.handleRequest(request(2, undefined, keyOf(2), '', '2026-10-01T00:00:00.000Z'))
  book.takeDirty()
  assert.equal(book.handleRequest(request(2, undefined, keyOf(2), '', '2026-11-01T00:00:00.000Z')), 'still_pending')
  assert.equal(book.takeDirty(), true, 'the new date is saved')
  assert.equal(book.handleRequest(request(2, undefined, keyOf(2), '', '2026-11-01T00:01:00.000Z')), 'still_pending')
  assert.equal(book.takeDirty(), false, 'and no more than that')
  book.expireRequests('2026-10-31T00:00:00.000Z')
  assert.deepEqual(
    book.takeDroppedRequests().map(({ entry, why }) => [entry.nodeId, why]),
    [[1, 'expired']],
  )
  assert.deepEqual([book.pendingOf(2)?.nodeId, book.takeDirty()], [2, true])
})

test('a name is bound when a person decides, and nothing learned later changes it', () => {
  const book = new TrustBook()
  book.approve(approval(7, 'bob', KEY))
  assert.deepEqual([book.hostnameOf(7), book.nodeNamed('bob'), book.means('bob', 7)], ['bob', 7, true])
  assert.equal(book.learnName(7, KEY, 'robert'), false)
  assert.deepEqual([book.hostnameOf(7), book.claimOf(7), book.means('robert', 7)], ['bob', 'robert', false])
  book.approve(approval(8, 'bob', OTHER_KEY))
  assert.deepEqual([book.hostnameOf(8), book.means('bob', 8), book.nodeNamed('bob')], [undefined, false, 7])
  const again = new TrustBook()
  again.load(book.save())
  assert.deepEqual([again.hostnameOf(7), again.hostnameOf(8)], ['bob', undefined])
})

test('the first name of a peer that is trusted by address is bound, unless it is taken or a peer of that name is awaited', () => {
  const book = new TrustBook()
  book.approve(approval(7, 'bob', KEY))
  book.approve(approval(8, undefined, OTHER_KEY))
  book.request({ peer: 'carol', node: undefined, hostname: 'carol', reason: '' })
  assert.equal(book.learnName(8, OTHER_KEY, 'bob'), false)
  assert.equal(book.learnName(8, OTHER_KEY, 'carol'), false)
  assert.equal(book.learnName(8, KEY, 'dave'), false, 'said of another key')
  book.takeDirty()
  assert.equal(book.learnName(8, OTHER_KEY, 'dave'), true)
  assert.deepEqual([book.hostnameOf(8), book.takeDirty()], ['dave', true])
  assert.equal(book.learnName(8, OTHER_KEY, 'eve'), false)
})

test('guests and network members never get a name, and a guest loses one from an old file', () => {
  const book = new TrustBook()
  book.approve(approval(7, 'bob', KEY, 'ticket'))
  book.approve(approval(8, 'carol', OTHER_KEY, { network: 3 }))
  assert.deepEqual([book.learnName(7, KEY, 'bob'), book.learnName(8, OTHER_KEY, 'carol')], [false, false])
  assert.deepEqual([book.hostnameOf(7), book.hostnameOf(8), book.mayBeCalled(7, 'bob')], [undefined, undefined, false])
  const old = new TrustBook()
  old.approve(approval(7, 'bob', KEY))
  old.markGuest(KEY, true)
  assert.deepEqual([old.hostnameOf(7), old.save().trusted[0]!.guest], [undefined, true])
})

test('a name with two trusted keys means neither, and reports that, until one of them is revoked', () => {
  const entry = { approvedAt: '', mutual: true, network: 0, hostname: 'bob' }
  const book = new TrustBook()
  book.load({
    trusted: [
      { ...entry, nodeId: 7, publicKey: toBase64(KEY) },
      { ...entry, nodeId: 8, publicKey: toBase64(OTHER_KEY) },
    ],
    pending: [],
  })
  assert.deepEqual([book.means('bob', 7), book.means('bob', 8), book.nodeNamed('bob')], [false, false, undefined])
  assert.deepEqual([...book.ambiguousNames.keys()], ['bob'])
  book.revoke(8)
  assert.deepEqual([book.means('bob', 7), book.hostnameOf(7), book.ambiguousNames.size], [true, 'bob', 0])
})

test('a pinned name means the pinned key, whatever a trust file contains', () => {
  const pins = { keys: new Map([[9, KEY]]), names: new Map([['bob', KEY]]) }
  const book = new TrustBook(pins)
  const entry = { approvedAt: '', mutual: true, network: 0, hostname: 'bob', publicKey: toBase64(OTHER_KEY) }
  book.load({ trusted: [{ ...entry, nodeId: 8 }], pending: [] })
  assert.deepEqual([book.means('bob', 8), book.hostnameOf(8), book.hostnameOf(9)], [false, undefined, 'bob'])
  assert.equal(book.handleRequest(request(5, 'bob', OTHER_KEY, '', 'now')), 'key_changed')
  assert.equal(book.handleRequest(request(9, undefined, OTHER_KEY, '', 'now')), 'key_changed', 'the id is pinned too')
  const moved = new TrustBook(pins)
  moved.load({ trusted: [{ ...entry, nodeId: 9 }], pending: [] })
  assert.equal(moved.isTrusted(9), false, 'trust was given to a key other than the pinned one')
})

test('our request by name is not satisfied by a peer with another name, a guest, or a namesake of a waiting node', () => {
  const wish = { peer: 'bob', node: undefined, hostname: 'bob', reason: '' }
  const book = new TrustBook()
  book.approve(approval(7, 'mallory', KEY))
  book.approve(approval(8, undefined, OTHER_KEY, 'ticket'))
  book.request(wish)
  assert.deepEqual([book.mayAnswer(wish, 'bob', KEY), book.mayAnswer(wish, 'bob', OTHER_KEY)], [false, false])
  assert.equal(book.mayAnswer(wish, 'bob', keyOf(3)), true)
  const second = new TrustBook()
  second.handleRequest(request(3, 'bob', keyOf(3), '', 'now'))
  second.request(wish)
  assert.equal(second.handleRequest(request(3, 'bob', keyOf(3), '', 'now')), 'wished', 'the only one of this name')
  assert.equal(second.handleRequest(request(4, 'bob', keyOf(4), '', 'now')), 'pending')
  assert.equal(second.handleRequest(request(3, 'bob', keyOf(3), '', 'now')), 'still_pending', 'now a person decides')
})

test('requests made by command are in the trust file, those from the configuration are not', () => {
  const book = new TrustBook()
  book.request({ peer: 'bob', node: undefined, hostname: 'bob', reason: 'by command', kept: true })
  book.request({ peer: '0:0000.0000.0009', node: 9, hostname: undefined, reason: '', kept: true, key: KEY })
  book.request({ peer: 'carol', node: undefined, hostname: 'carol', reason: 'by configuration' })
  assert.equal(book.takeDirty(), true)
  const again = new TrustBook()
  const text = formatTrustFile(book.save())
  again.load(parseTrustFile(text) as TrustFile)
  assert.deepEqual(
    again.outgoing.map(({ peer, node, key }) => [peer, node, key]),
    [
      ['bob', undefined, undefined],
      ['0:0000.0000.0009', 9, KEY],
    ],
  )
  assert.equal(formatTrustFile(again.save()), text)
  again.request({ peer: 'bob', node: undefined, hostname: 'bob', reason: 'by configuration now' })
  assert.deepEqual([again.takeDirty(), again.save().requested?.length], [true, 1])
  assert.deepEqual(
    again.displace().void.map(({ peer }) => peer),
    ['0:0000.0000.0009'],
  )
  assert.equal(again.save().requested, undefined)
})

test("trust displaced by new ids stays displaced across restarts, next to the id's new owner, and its own owner is looked for", () => {
  const book = new TrustBook()
  book.approve(approval(7, 'agent-b', KEY))
  book.approve(approval(8, 'agent-c', OTHER_KEY))
  book.displace()
  book.approve({ ...approval(7, undefined, OTHER_KEY, 'moved') })
  const text = formatTrustFile(book.save())
  const again = new TrustBook()
  again.load(parseTrustFile(text) as TrustFile)
  assert.deepEqual([again.keyOf(7), again.nodeNamed('agent-c'), again.nodeNamed('agent-b')], [OTHER_KEY, 7, undefined])
  assert.ok(again.knows(KEY))
  assert.deepEqual(
    again.outgoing.map(({ peer, hostname, kept }) => [peer, hostname, kept]),
    [['agent-b', 'agent-b', undefined]],
  )
  assert.equal(formatTrustFile(again.save()), text)
  assert.equal(again.handleRequest(request(9, 'agent-b', KEY, '', 'now')), 'moved')
  again.approve(approval(9, undefined, KEY, 'moved'))
  assert.deepEqual([again.nodeNamed('agent-b'), again.outgoing.length], [9, 0])
  assert.ok(!formatTrustFile(again.save()).includes('displaced'))
})

test("trusting a new key under another peer's id does not end trust in that peer; a new key with the same name does", () => {
  const [renumbered, rekeyed] = [new TrustBook(), new TrustBook()]
  for (const book of [renumbered, rekeyed]) book.approve(approval(7, 'agent-b', KEY))
  renumbered.approve(approval(7, 'agent-c', OTHER_KEY))
  assert.deepEqual([renumbered.keyOf(7), renumbered.nodeNamed('agent-b')], [OTHER_KEY, undefined])
  assert.equal(renumbered.handleRequest(request(8, 'agent-b', KEY, '', 'now')), 'moved')
  rekeyed.approve(approval(7, 'agent-b', OTHER_KEY))
  assert.equal(rekeyed.handleRequest(request(8, 'agent-b', KEY, '', 'now')), 'key_changed')
})

test('a trust file without that mark, with two keys for one id: neither is lost', () => {
  const entry = { approvedAt: '2026-11-30T00:00:00Z', mutual: true, network: 0 }
  const book = new TrustBook()
  book.load({
    trusted: [
      { ...entry, nodeId: 7, publicKey: toBase64(KEY), hostname: 'agent-b' },
      { ...entry, nodeId: 7, publicKey: toBase64(OTHER_KEY), hostname: 'agent-c' },
    ],
    pending: [],
  })
  assert.deepEqual([book.keyOf(7), book.nodeNamed('agent-b')], [KEY, 7])
  assert.equal(book.handleRequest(request(8, 'agent-c', OTHER_KEY, '', 'now')), 'moved')
  assert.equal(book.save().trusted.length, 2)
})

test('revocation forgets the node and our request for it', () => {
  const book = new TrustBook()
  book.approve(approval(7, 'agent-b', KEY, 'choice'))
  book.request({ peer: 'agent-b', node: undefined, hostname: 'agent-b', reason: '' })
  assert.equal(book.revoke(7), true)
  assert.equal(book.revoke(7), false)
  assert.deepEqual([book.isTrusted(7), book.outgoing.length, book.hostnameOf(7)], [false, 0, undefined])
})

test('our revocation, by key, survives a restart whatever the configuration requests; only a person lifts it', () => {
  const standing = { peer: 'agent-b', node: undefined, hostname: 'agent-b', reason: '' }
  const book = new TrustBook()
  book.approve(approval(7, 'agent-b', KEY, 'choice'))
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
  again.approve(approval(8, 'agent-b', KEY, 'choice'))
  assert.deepEqual([again.isRevoked(standing), again.save().revoked], [false, undefined])
  const third = new TrustBook()
  third.load(book.save())
  third.request(standing)
  assert.equal(third.isRevoked(standing), false)
  assert.equal(third.handleRequest(request(7, 'agent-b', KEY, '', 'now')), 'wished')
  const theirs = new TrustBook()
  theirs.approve(approval(7, 'agent-b', KEY, 'choice'))
  theirs.revoke(7)
  assert.equal(theirs.isRevoked(standing), false, 'trust revoked by a peer may be granted to us again')
})

test("the owner of a trusted key is trusted under another id too, but not under another peer's name", () => {
  const book = new TrustBook()
  book.approve(approval(7, 'agent-b', KEY, 'choice'))
  book.approve(approval(8, 'agent-c', OTHER_KEY, 'choice'))
  assert.equal(book.handleRequest(request(9, 'agent-c', KEY, '', 'now')), 'key_changed', 'the name belongs to another')
  assert.equal(book.handleRequest(request(8, 'agent-b', KEY, '', 'now')), 'moved', 'they have swapped ids')
  book.approve(approval(8, 'agent-b', KEY, 'choice'))
  assert.deepEqual([book.isTrusted(7), book.keyOf(8)], [false, KEY])
  assert.deepEqual(
    book.save().trusted.map(({ publicKey }) => publicKey).length,
    2,
    "the id's previous owner is not forgotten",
  )
  assert.equal(book.handleRequest(request(7, 'agent-c', OTHER_KEY, '', 'now')), 'moved')
})

test('a key replaced by a person is no longer valid', () => {
  const book = new TrustBook()
  book.approve(approval(7, 'agent-b', KEY, 'choice'))
  book.approve(approval(7, 'agent-b', OTHER_KEY, 'choice'))
  assert.equal(book.save().trusted.length, 1)
  assert.equal(book.handleRequest(request(9, undefined, KEY, '', 'now')), 'pending')
})

test('our own id is kept with the trust given under it, and is not written without any', () => {
  const book = new TrustBook()
  book.ownId = 5
  assert.equal(book.takeDirty(), false)
  book.approve(approval(7, 'agent-b', KEY, 'choice'))
  book.takeDirty()
  const again = new TrustBook()
  again.load(book.save())
  assert.equal(again.ownId, 5)
  again.ownId = 6
  assert.equal(again.takeDirty(), true)
})

test('a person can end trust in a peer whose id the registry has given away; only a person gives it again', () => {
  const byKey = { kind: 'key', publicKey: toBase64(KEY) } as const
  for (const who of [parsePeerName('agent-b')!, parsePeerName('0:0000.0000.0007')!, byKey]) {
    const book = new TrustBook()
    book.approve(approval(7, 'agent-b', KEY))
    for (const request of book.displace().sought) book.request(request)
    assert.equal(book.revokeDisplaced(parsePeerName('agent-x')!), false)
    assert.equal(book.revokeDisplaced(who), true)
    book.withdrawRequest('agent-b')
    assert.equal(book.revokeDisplaced(who), false)
    assert.equal(
      book.handleRequest(request(9, 'agent-b', KEY, '', 'now')),
      'pending',
      'it does not come back on its own',
    )
    const again = new TrustBook()
    again.load(book.save())
    assert.ok(!again.knows(KEY) && again.hasRevoked(KEY))
  }
})
