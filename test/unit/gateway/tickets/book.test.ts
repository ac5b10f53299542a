/**
 * Which proofs are accepted, from which node, how often; which nodes are guests; and that a restart changes none of it.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toBase64 } from '../../../../src/base/bytes.ts'
import { PilotError } from '../../../../src/base/errors.ts'
import { AccessList, type AccessNode } from '../../../../src/gateway/expose/access.ts'
import { proofOf } from '../../../../src/gateway/tickets/text.ts'
import type { ServiceKey } from '../../../../src/gateway/model/service-key.ts'
import { TicketBook } from '../../../../src/gateway/tickets/book.ts'
import type { OpenTicket } from '../../../../src/gateway/tickets/book.ts'

const [OWN, ANN, BOB] = [1, 2, 3].map((byte) => new Uint8Array(32).fill(byte)) as [Uint8Array, Uint8Array, Uint8Array]
const SECRET = new Uint8Array(16).fill(9)
const NOW = 1_000

let dir: string
let count = 0
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'pg-book-'))
})
after(async () => rm(dir, { recursive: true }))

function service(name: string, change: Partial<ServiceKey> = {}): ServiceKey {
  return { name, port: 80, protocol: 'tcp', target: 'tcp://127.0.0.1:3000', ...change }
}
function made(name: string): Omit<OpenTicket, 'secret' | 'expires'> {
  const { port, protocol, target } = service(name)
  return { service: name, port, protocol, target }
}

async function open(): Promise<{ book: TicketBook; file: string }> {
  const file = join(dir, `${count++}.json`)
  const book = await TicketBook.load(file, OWN)
  book.add({ secret: toBase64(SECRET), ...made('web'), expires: NOW + 60 }, NOW)
  return { book, file }
}

test('a valid proof is accepted once; only the same node may repeat it, while it is trusted', async () => {
  const { book } = await open()
  assert.deepEqual(book.redeem(ANN, proofOf(SECRET, ANN, OWN), false, NOW), {
    verdict: 'accept',
    service: 'web',
    fresh: true,
  })
  assert.deepEqual(book.redeem(ANN, proofOf(SECRET, ANN, OWN), true, NOW + 3_600), {
    verdict: 'accept',
    service: 'web',
    fresh: false,
  })
  assert.deepEqual(
    book.redeem(BOB, proofOf(SECRET, BOB, OWN), false, NOW),
    { verdict: 'refuse' },
    'stolen after its use',
  )
  assert.deepEqual(book.redeem(BOB, proofOf(SECRET, ANN, OWN), false, NOW), { verdict: 'refuse' }, 'overheard')
  assert.deepEqual(
    book.redeem(ANN, proofOf(SECRET, ANN, OWN), false, NOW),
    { verdict: 'refuse' },
    'after her trust was revoked',
  )
})

test('a proof by another key does not use up the ticket', async () => {
  const { book } = await open()
  assert.deepEqual(book.redeem(BOB, proofOf(SECRET, ANN, OWN), false, NOW), { verdict: 'refuse' })
  assert.deepEqual(
    book.redeem(BOB, proofOf(SECRET, BOB, ANN), false, NOW),
    { verdict: 'refuse' },
    'for another inviter',
  )
  assert.equal(book.redeem(ANN, proofOf(SECRET, ANN, OWN), false, NOW)?.verdict, 'accept')
})

test('an expired ticket is refused, and an ordinary request is not affected', async () => {
  const { book } = await open()
  assert.deepEqual(book.redeem(ANN, proofOf(SECRET, ANN, OWN), false, NOW + 60), { verdict: 'refuse' })
  assert.equal(book.redeem(ANN, 'it is me, Ann', false, NOW), undefined)
})

test('a guest gets the one exposure; an already trusted peer loses nothing; an inviter gains nothing', async () => {
  const { book } = await open()
  book.redeem(ANN, proofOf(SECRET, ANN, OWN), false, NOW)
  assert.equal(book.standing(toBase64(ANN), service('web')), 'granted')
  assert.equal(book.standing(toBase64(ANN), service('database')), 'restricted')
  book.add({ secret: toBase64(SECRET), ...made('api'), expires: NOW + 60 }, NOW)
  book.redeem(BOB, proofOf(SECRET, BOB, OWN), true, NOW)
  assert.equal(book.standing(toBase64(BOB), service('api')), 'granted')
  assert.equal(book.standing(toBase64(BOB), service('database')), undefined)
  book.restrict(OWN)
  assert.equal(book.standing(toBase64(OWN), service('web')), 'restricted')
  book.forget(toBase64(ANN))
  assert.equal(book.standing(toBase64(ANN), service('web')), undefined)
})

test('a ticket is valid for its own service, not for another one under the same name', async () => {
  const { book, file } = await open()
  book.redeem(ANN, proofOf(SECRET, ANN, OWN), false, NOW)
  const key = toBase64(ANN)
  for (const other of [{ target: 'tcp://127.0.0.1:5432' }, { port: 81 }, { protocol: 'udp' as const }])
    assert.equal(book.standing(key, service('web', other)), 'restricted', JSON.stringify(other))
  assert.equal(book.standing(key, service('web')), 'granted', 'it is back')
  const again = await TicketBook.load(file, OWN)
  assert.equal(again.standing(key, service('web', { target: 'unix:/other' })), 'restricted', 'after a restart too')
  assert.deepEqual(again.limited, [{ key, isOurs: true }])
})

test("'trusted' and 'invited' do not match guests without a ticket for this exposure", async () => {
  const node: AccessNode = {
    trustOf: async (nodeId) => ({ nodeId, publicKey: '', approvedAt: '', mutual: true, network: 0 }),
    trusted: async () => [],
    means: async () => true,
    about: async () => null,
  }
  const allowed = async (allow: readonly string[], guest?: 'granted' | 'restricted'): Promise<boolean> =>
    await new AccessList(node, allow).allows(3, guest)
  assert.deepEqual(
    await Promise.all([
      allowed(['trusted']),
      allowed(['trusted'], 'restricted'),
      allowed(['invited']),
      allowed(['invited'], 'restricted'),
      allowed(['invited'], 'granted'),
    ]),
    [true, false, false, false, true],
  )
  assert.equal(await allowed(['trusted', '0:0000.0000.0003'], 'restricted'), true) // named by a person
  assert.deepEqual(
    await Promise.all([allowed(['bob']), allowed(['bob'], 'restricted')]),
    [true, false],
    'a guest gets nothing by a name',
  )
})

test('unused tickets, used ones and guests survive a restart, in a file readable only by the owner', async () => {
  const { file } = await open()
  assert.equal((await stat(file)).mode & 0o777, 0o600)
  const again = await TicketBook.load(file, OWN)
  assert.equal(again.openUntil, NOW + 60)
  assert.equal(again.redeem(ANN, proofOf(SECRET, ANN, OWN), false, NOW)?.verdict, 'accept')
  const third = await TicketBook.load(file, OWN)
  assert.equal(third.openUntil, 0)
  assert.deepEqual(third.redeem(BOB, proofOf(SECRET, BOB, OWN), false, NOW), { verdict: 'refuse' })
  assert.equal(third.standing(toBase64(ANN), service('web')), 'granted')
})

test('a malformed file is an error, not a book without restrictions, and so are too many tickets', async () => {
  const file = join(dir, 'bad.json')
  await writeFile(file, '{"version":1}')
  await assert.rejects(
    TicketBook.load(file, OWN),
    (error: unknown) => error instanceof PilotError && error.code === 'FAILED',
  )
  const { book } = await open()
  const flood = (): void => {
    for (let index = 0; index < 64; index++)
      book.add({ secret: toBase64(SECRET), ...made('web'), expires: NOW + 60 }, NOW)
  }
  assert.throws(flood, (error: unknown) => error instanceof PilotError && error.code === 'TOO_MANY')
  book.add({ secret: toBase64(SECRET), ...made('web'), expires: NOW + 999 }, NOW + 60) // the others have expired
})

test("a ticket's use is on disk before it is granted; if it cannot be written, it is not granted", async () => {
  const { book, file } = await open()
  book.add({ secret: toBase64(SECRET.map(() => 8)), ...made('other'), expires: NOW + 60 }, NOW)
  assert.equal(book.redeem(ANN, proofOf(SECRET, ANN, OWN), false, NOW)?.verdict, 'accept')
  const crashed = await TicketBook.load(file, OWN)
  assert.deepEqual(crashed.redeem(BOB, proofOf(SECRET, BOB, OWN), false, NOW), { verdict: 'refuse' })
  assert.deepEqual((await TicketBook.load(file, OWN)).redeem(BOB, proofOf(SECRET, BOB, OWN), false, NOW), {
    verdict: 'refuse',
  })
  const second = await open()
  await rm(second.file)
  await mkdir(second.file) // nothing can be renamed over a folder
  assert.throws(() => second.book.redeem(ANN, proofOf(SECRET, ANN, OWN), false, NOW), STATE_UNWRITABLE)
  assert.throws(
    () => second.book.add({ secret: toBase64(ANN), ...made('other'), expires: NOW + 99 }, NOW),
    STATE_UNWRITABLE,
  )
  assert.equal(second.book.openUntil, NOW + 60, 'a ticket that could not be saved is not open')
  assert.equal(second.book.standing(toBase64(ANN), service('web')), undefined)
  await rm(second.file, { recursive: true })
  assert.equal(second.book.redeem(ANN, proofOf(SECRET, ANN, OWN), false, NOW)?.verdict, 'accept', 'it is still open')
})

const STATE_UNWRITABLE = { code: 'STATE_UNWRITABLE' }
