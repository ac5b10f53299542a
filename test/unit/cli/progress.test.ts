/** The line that moves while a person waits: only at a terminal, never wider than it, and gone afterwards. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { Output } from '../../../src/cli/output.ts'
import { whileWaiting } from '../../../src/cli/progress.ts'
import { testWorld, type TestWorld } from './world.ts'

const CLEAR = '\r\x1b[K'
const TIMES = { patienceMs: 20, everyMs: 10 }

async function waiting(world: TestWorld, options: object, ms: number): Promise<string> {
  const work = new Promise<string>((resolve) => {
    setTimeout(() => resolve('done'), ms)
  })
  const result = await whileWaiting(new Output(world, options), world, work, () => 'measuring agent-b: 3 s', TIMES)
  assert.equal(result, 'done')
  return world.stderr.join('')
}

test('work that takes long shows a line, cut at the width of the window, and clears it', async () => {
  for (const [columns, line] of [
    [80, 'measuring agent-b: 3 s'],
    [10, 'measuring'],
  ] as const) {
    const shown = (await waiting(testWorld({ terminal: true, columns }), {}, 100)).split(CLEAR)
    assert.deepEqual([shown[0], shown.at(-1), new Set(shown.slice(1, -1))], ['', '', new Set([line])])
  }
})

test('nothing is shown of work that is quick, into a pipe, with --json or --quiet, or on a dumb terminal', async () => {
  assert.equal(await waiting(testWorld({ terminal: true }), {}, 0), '')
  assert.equal(await waiting(testWorld(), {}, 100), '')
  assert.equal(await waiting(testWorld({ terminal: true }), { json: true }, 100), '')
  assert.equal(await waiting(testWorld({ terminal: true }), { quiet: true }, 100), '')
  assert.equal(await waiting(testWorld({ terminal: true, env: { TERM: 'dumb' } }), {}, 100), '')
})

test('an error of the work is passed on, and the line is cleared first', async () => {
  const world = testWorld({ terminal: true, columns: 80 })
  const work = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error('no path')), 60)
  })
  await assert.rejects(
    whileWaiting(new Output(world, {}), world, work, () => 'x', TIMES),
    /no path/,
  )
  assert.equal(world.stderr.at(-1), CLEAR)
})
