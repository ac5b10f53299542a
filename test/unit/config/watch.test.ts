/**
 * What triggers the watch: a write, a rename over the file, a swapped link next to it or at its target; and silence
 * after it ends.
 */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FileWatch } from '../../../src/config/watch.ts'

test('every way of replacing a file is reported, once per burst', async (t) => {
  const { folder, events, watch } = await watched(t)
  const change = async (act: () => Promise<unknown>): Promise<void> => {
    const before = events()
    await act()
    await until(() => events() > before)
  }
  await change(() => writeFile(join(folder, 'gateway.yaml'), 'b'))
  await change(async () => {
    await writeFile(join(folder, 'new'), 'c')
    await rename(join(folder, 'new'), join(folder, 'gateway.yaml'))
  })
  await mkdir(join(folder, 'elsewhere'))
  await writeFile(join(folder, 'elsewhere', 'target.yaml'), 'd')
  await change(async () => {
    await symlink('elsewhere/target.yaml', join(folder, 'link'))
    await rename(join(folder, 'link'), join(folder, 'gateway.yaml'))
  })
  await pause(250)
  await change(() => writeFile(join(folder, 'elsewhere', 'target.yaml'), 'e')) // visible only in the target's folder
  await pause(250)
  const before = events()
  for (let i = 0; i < 10; i++) writeFileSync(join(folder, 'gateway.yaml'), String(i)) // at once: a slow machine must not make two bursts of it
  await until(() => events() > before)
  await pause(250)
  assert.equal(events(), before + 1, 'a burst is one')
  watch.stop()
  await writeFile(join(folder, 'gateway.yaml'), 'z')
  await pause(250)
  assert.equal(events(), before + 1)
})

test('constant activity in the folder does not delay the report', async (t) => {
  const { folder, events } = await watched(t)
  const until2 = performance.now() + 2_500
  while (performance.now() < until2) {
    await writeFile(join(folder, 'busy'), 'x')
    await pause(20)
  }
  assert.ok(events() >= 1, `${events()}`)
})

async function watched(t: { after(fn: () => Promise<void>): void }) {
  const folder = await mkdtemp(join(tmpdir(), 'pilotgate-watch-'))
  const file = join(folder, 'gateway.yaml')
  await writeFile(file, 'a')
  let events = 0
  const watch = new FileWatch(file, () => {
    events += 1
  })
  t.after(async () => {
    watch.stop()
    await rm(folder, { recursive: true })
  })
  await watch.start()
  return { folder, watch, events: () => events }
}

async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + 5_000
  while (!holds()) {
    assert.ok(performance.now() < end, 'nothing was reported')
    await pause(10)
  }
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}
