/**
 * The trust file follows the core: a change is acknowledged once on disk, and a failing disk is an error with a code.
 */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PilotError } from '../../../../src/base/errors.ts'
import { loadTrust } from '../../../../src/runtime/files/identity.ts'
import { silentLogger } from '../../../../src/runtime/log.ts'
import { TrustKeeper } from '../../../../src/runtime/node/trust-keeper.ts'
import type { TrustFile } from '../../../../src/wire/trust-file.ts'
import { ChangedTrust } from '../changed-trust.ts'

/** A disk whose writes finish when the test says so. */
class Disk {
  readonly writes: Array<{ readonly entries: number; readonly end: (error?: Error) => void }> = []
  readonly save = (_path: string, file: TrustFile): Promise<void> =>
    new Promise((resolve, reject) => {
      this.writes.push({
        entries: file.trusted.length,
        end: (error) => (error === undefined ? resolve() : reject(error)),
      })
    })
}

test('a change is in the file when it is acknowledged', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'pg-trust-'))
  context.after(() => rm(folder, { recursive: true }))
  const book = new ChangedTrust()
  const keeper = new TrustKeeper(join(folder, 'trust.json'), book, silentLogger)
  book.change()
  await keeper.settled()
  assert.equal((await loadTrust(join(folder, 'trust.json'))).trusted.length, 1)
})

test('changes during a write wait for the next write, which they share', async () => {
  const [book, disk] = [new ChangedTrust(), new Disk()]
  const keeper = new TrustKeeper('trust.json', book, silentLogger, disk.save)
  const acknowledged: number[] = []
  const change = async (): Promise<void> => {
    book.change()
    const mine = book.changes
    await keeper.settled()
    acknowledged.push(mine)
  }
  const all = [change(), change(), change()]
  disk.writes[0]!.end()
  await all[0]
  assert.deepEqual([acknowledged, disk.writes.map(({ entries }) => entries)], [[1], [1, 3]])
  disk.writes[1]!.end()
  await Promise.all(all)
  assert.deepEqual([acknowledged, disk.writes.length], [[1, 2, 3], 2])
})

test('a failing disk makes the change an error, and the next successful write catches up', async () => {
  const [book, disk] = [new ChangedTrust(), new Disk()]
  const keeper = new TrustKeeper('trust.json', book, silentLogger, disk.save)
  book.change()
  const failed = keeper.settled()
  disk.writes[0]!.end(new Error('ENOSPC: no space left on device'))
  await assert.rejects(failed, ({ code, message, exitCode }: PilotError) => {
    assert.deepEqual([code, exitCode], ['STATE_UNWRITABLE', 1])
    assert.match(message, /ENOSPC.*in force, but a restart would undo it/)
    return true
  })
  const again = keeper.settled()
  disk.writes[1]!.end()
  await again
  await keeper.settled()
  assert.equal(disk.writes.length, 2, 'nothing is left to write')
  await keeper.stop()
})

test('a failed write is retried automatically', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] })
  const [book, disk] = [new ChangedTrust(), new Disk()]
  const keeper = new TrustKeeper('trust.json', book, silentLogger, disk.save)
  book.change()
  keeper.keepUp()
  disk.writes[0]!.end(new Error('EROFS'))
  await new Promise(setImmediate)
  context.mock.timers.tick(10_000)
  assert.equal(disk.writes.length, 2)
  disk.writes[1]!.end()
  await keeper.stop()
  assert.equal(disk.writes.length, 2)
})

test('a failed earlier write does not fail a change made after it started', async () => {
  const [book, disk] = [new ChangedTrust(), new Disk()]
  const keeper = new TrustKeeper('trust.json', book, silentLogger, disk.save)
  book.change()
  const first = keeper.settled()
  book.change()
  const second = keeper.settled()
  disk.writes[0]!.end(new Error('EIO'))
  await assert.rejects(first, { code: 'STATE_UNWRITABLE' })
  disk.writes[1]!.end()
  await second
  await keeper.stop()
})

test('a real folder that cannot take the file is such an error', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'pg-trust-'))
  context.after(() => rm(folder, { recursive: true }))
  await mkdir(join(folder, 'trust.json', 'in the way'), { recursive: true })
  const book = new ChangedTrust()
  const keeper = new TrustKeeper(join(folder, 'trust.json'), book, silentLogger)
  book.change()
  await assert.rejects(keeper.settled(), { code: 'STATE_UNWRITABLE' })
  await assert.rejects(readFile(join(folder, 'trust.json')), 'no partial file is left there')
  await keeper.stop()
})
