import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mock, test } from 'node:test'
import { loadPlaces, placesPath } from '../../../../src/runtime/files/places.ts'
import { silentLogger } from '../../../../src/runtime/log.ts'
import { PlacesKeeper } from '../../../../src/runtime/node/places-keeper.ts'
import type { PlacesFile } from '../../../../src/wire/places-file.ts'

const PLACE = { nodeId: 7, publicKey: 'a2V5', endpoints: [{ address: '203.0.113.7', port: 4_000 }], extended: true }

test('places are written when changed, at the latest on stop, readable only by the owner', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'pilotgate-places-'))
  t.after(() => rm(folder, { recursive: true }))
  const path = placesPath(join(folder, 'identity.json'))
  let present: PlacesFile = { udpPort: 4_001, places: [] }
  mock.timers.enable({ apis: ['setInterval'] })
  const keeper = new PlacesKeeper(path, () => present, silentLogger)
  const settled = async (): Promise<void> => {
    mock.timers.tick(3_000)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  await settled()
  assert.deepEqual(await loadPlaces(path), { places: [] }, 'with no peer to remember there is no file')
  present = { udpPort: 4_001, places: [PLACE] }
  await settled()
  assert.deepEqual(await loadPlaces(path), present)
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  const { ino } = await stat(path)
  await settled()
  assert.equal((await stat(path)).ino, ino, 'nothing changed, nothing is written')
  present = { udpPort: 4_001, places: [] }
  mock.timers.reset()
  await keeper.stop()
  assert.deepEqual(await loadPlaces(path), present)
})

test('a failing disk is reported once, and without a path nothing is written', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'pilotgate-places-'))
  t.after(() => rm(folder, { recursive: true }))
  const warnings: unknown[] = []
  const log = { ...silentLogger, warn: (fields: unknown) => void warnings.push(fields) } as typeof silentLogger
  const blocked = join(folder, 'file', 'places.json')
  const nobody = new PlacesKeeper(undefined, () => ({ places: [PLACE] }), log)
  await nobody.stop()
  await writeFile(join(folder, 'file'), '')
  const keeper = new PlacesKeeper(blocked, () => ({ places: [PLACE] }), log)
  await keeper.stop()
  await keeper.stop()
  assert.deepEqual(
    warnings.map((fields) => (fields as { code: string }).code),
    ['STATE_UNWRITABLE'],
  )
  await assert.rejects(readFile(blocked))
})
