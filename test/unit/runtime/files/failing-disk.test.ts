/**
 * Whatever the disk refuses, and whenever, acknowledged data survives a restart. Random changes on a disk whose calls
 * fail by seed; the "crash" discards the process's memory, reads the folder again, and compares.
 */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toBase64 } from '../../../../src/base/bytes.ts'
import { TicketBook } from '../../../../src/gateway/tickets/book.ts'
import { proofOf } from '../../../../src/gateway/tickets/text.ts'
import { writeFileAtomically } from '../../../../src/runtime/files/atomic.ts'
import { loadTrust } from '../../../../src/runtime/files/identity.ts'
import { loadPlaces } from '../../../../src/runtime/files/places.ts'
import { silentLogger } from '../../../../src/runtime/log.ts'
import { TrustKeeper } from '../../../../src/runtime/node/trust-keeper.ts'
import { openJournalStore } from '../../../../src/server/store/journal-store.ts'
import { formatPlacesFile } from '../../../../src/wire/places-file.ts'
import { randomSource } from '../../../fuzz/decoders.ts'
import { ChangedTrust } from '../changed-trust.ts'
import { FailingDisk } from './failing-disk.ts'

const SEEDS = [1, 2, 3, 20_261_130]
const ROUNDS = 40
const CHANGES = 12
const PERCENT = 15

let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pg-disk-'))
})
after(() => rm(folder, { recursive: true, force: true }))

for (const seed of SEEDS) {
  test(`trust: an acknowledged decision survives a crash on a failing disk (seed ${seed})`, async () => {
    const path = join(folder, `trust-${seed}.json`)
    let acknowledged = 0
    const failures = await onFailingDisk(seed, async (disk, random) => {
      disk.percent = 0
      const book = new ChangedTrust((await loadTrust(path)).trusted.length)
      disk.percent = PERCENT
      const keeper = new TrustKeeper(path, book, silentLogger)
      for (let change = 0; change < CHANGES; change++) {
        book.change()
        const version = book.changes
        const settled = keeper.settled().then(() => (acknowledged = Math.max(acknowledged, version)), isUnwritable)
        if (random(3) > 0) await settled
      }
      disk.percent = 100 // the crash: the last attempt does not get through either
      await keeper.stop()
      disk.percent = 0
      const kept = (await loadTrust(path)).trusted.length
      assert.ok(kept >= acknowledged && kept <= book.changes, `${kept} kept, ${acknowledged} acknowledged`)
    })
    assert.ok(failures > 50 && acknowledged > 50, `${failures} failures, ${acknowledged} acknowledged`)
  })

  test(`tickets: issued ones stay valid and used ones stay used on a failing disk (seed ${seed})`, async () => {
    const file = join(folder, `tickets-${seed}.json`)
    const [ownKey, guest] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
    const open = new Map<string, Uint8Array>() // service → secret, acknowledged and not used
    const used = new Map<string, Uint8Array>()
    let number = 0
    const failures = await onFailingDisk(seed, async (disk, random) => {
      disk.percent = 0
      const book = await TicketBook.load(file, ownKey)
      disk.percent = PERCENT
      for (let change = 0; change < CHANGES; change++) {
        const service = `service-${number++}`
        const secret = new Uint8Array(16).fill(number & 0xff).fill(number >> 8, 8)
        try {
          book.add({ secret: toBase64(secret), service, expires: NEVER }, 0)
          open.set(service, secret)
        } catch {}
        const [first] = open
        if (first === undefined || random(3) === 0) continue
        if (isRedeemed(book, guest, first[1], ownKey)) {
          open.delete(first[0])
          used.set(first[0], first[1])
        }
      }
      disk.percent = 0
      const again = await TicketBook.load(file, ownKey)
      const stranger = new Uint8Array(32).fill(3)
      for (const [service, secret] of used)
        assert.ok(!isRedeemed(again, stranger, secret, ownKey), `${service} was used and is open again`)
      for (const [service, secret] of open)
        assert.ok(isRedeemed(again, guest, secret, ownKey), `${service} was given out and is lost`)
      for (const [service, secret] of open) used.set(service, secret)
      open.clear()
    })
    assert.ok(failures > 100 && used.size > 50, `${failures} failures, ${used.size} used`)
  })

  test(`places: the file is the old one or a newer one, never half of one, on a failing disk (seed ${seed})`, async () => {
    const path = join(folder, `places-${seed}.json`)
    const placesOf = (port: number): string =>
      formatPlacesFile({ places: [{ ...PLACE, endpoints: [{ address: '203.0.113.1', port }] }] })
    let [acknowledged, port] = [0, 0]
    const failures = await onFailingDisk(seed, async (disk) => {
      disk.percent = PERCENT
      for (let change = 0; change < CHANGES; change++) {
        const wanted = ++port
        await writeFileAtomically(path, placesOf(wanted)).then(
          () => (acknowledged = wanted),
          () => {},
        )
        disk.percent = 0
        const kept = (await loadPlaces(path)).places[0]?.endpoints[0]?.port ?? 0
        disk.percent = PERCENT
        assert.ok(kept >= acknowledged && kept <= port, `port ${kept} kept, ${acknowledged} acknowledged`)
      }
    })
    assert.ok(failures > 50 && acknowledged > 50, `${failures} failures, ${acknowledged} acknowledged`)
  })

  test(`registry: an acknowledged record survives a crash on a failing disk (seed ${seed})`, async () => {
    const directory = join(folder, `store-${seed}`)
    const acknowledged = new Map<string, number>()
    const written = new Map<string, number>()
    let value = 0
    const failures = await onFailingDisk(seed, async (disk, random) => {
      disk.percent = 0
      const store = await openJournalStore(directory)
      compare([...store.load('node/')], acknowledged, written)
      disk.percent = PERCENT
      for (let change = 0; change < CHANGES; change++) {
        const [key, mine] = [`node/${random(20)}`, ++value]
        store.put(key, { value: mine })
        written.set(key, mine)
        const flushed = store.flushed().then(
          () => acknowledged.set(key, Math.max(mine, acknowledged.get(key) ?? 0)),
          () => {},
        )
        if (random(2) === 0) await flushed
      }
      disk.percent = 0
      await store.close().catch(() => {}) // it stays failed after its first failure, and says so
    })
    assert.ok(failures > 20 && acknowledged.size === 20, `${failures} failures, ${acknowledged.size} keys`)
  })
}

/** Rounds of changes and crashes, on a disk that fails while `percent` is not 0. @returns how many calls failed. */
async function onFailingDisk(
  seed: number,
  round: (disk: FailingDisk, random: (limit: number) => number) => Promise<void>,
): Promise<number> {
  const random = randomSource(seed)
  const disk = await FailingDisk.install(random)
  try {
    for (let count = 0; count < ROUNDS; count++) await round(disk, random)
    return disk.failures
  } finally {
    disk.remove()
  }
}

function isUnwritable(error: unknown): void {
  assert.equal((error as { code?: string }).code, 'STATE_UNWRITABLE')
}

/** A failed write throws, and nothing is granted. */
function isRedeemed(book: TicketBook, guest: Uint8Array, secret: Uint8Array, ownKey: Uint8Array): boolean {
  try {
    return book.redeem(guest, proofOf(secret, guest, ownKey), true, 0)?.verdict === 'accept'
  } catch {
    return false
  }
}

function compare(
  records: ReadonlyArray<{ readonly key: string; readonly value: unknown }>,
  acknowledged: ReadonlyMap<string, number>,
  written: ReadonlyMap<string, number>,
): void {
  const kept = new Map(records.map(({ key, value }) => [key, (value as { value?: number } | undefined)?.value ?? 0]))
  for (const [key, value] of acknowledged) {
    const found = kept.get(key) ?? 0
    assert.ok(found >= value && found <= written.get(key)!, `${key}: ${found} kept, ${value} acknowledged`)
  }
}

const NEVER = 2 ** 40
const PLACE = { nodeId: 1, publicKey: 'AAAA', extended: true }
