/**
 * docs/quirks.md promises a test for each quirk of the reference, and every recording must be used: both are checked
 * here.
 */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const ROOT = join(import.meta.dirname, '../..')
const rows = readFileSync(join(ROOT, 'docs/quirks.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| [QTRHI]\d/.test(line))

test('every test named in docs/quirks.md exists', () => {
  let named = 0
  for (const row of rows) {
    const cell = row.slice(row.indexOf('`test/')).replaceAll('\\|', '|').replace(/ \|$/, '')
    for (const entry of cell.split('<br>')) {
      const match = /^`(test\/[^`]+)`: (.+)$/.exec(entry)
      assert.ok(match !== null, `no test: ${row}`)
      named += 1
      const [, file, title] = match as unknown as [string, string, string]
      assert.ok(readFileSync(join(ROOT, file), 'utf8').includes(title), `${file} has no test "${title}"`)
    }
  }
  assert.ok(named > 80, `${named}`)
})

test('every numbered stream quirk is listed once', () => {
  const numbers = rows
    .map((row) => /^\| Q(\d+) /.exec(row)?.[1])
    .filter((number) => number !== undefined)
    .map(Number)
  assert.deepEqual(
    numbers,
    Array.from({ length: 28 }, (_, i) => i + 1),
  )
})

test('every recording is used by a test', () => {
  const tests = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(join(ROOT, 'test', name), 'utf8'))
  const recordings = readdirSync(join(ROOT, 'test/vectors')).filter((name) => name.endsWith('.json'))
  assert.ok(recordings.length >= 13)
  for (const name of recordings) {
    const loads = new RegExp(`loadVectors(<[^(]*>)?\\('${name.slice(0, -5)}'\\)`, 's')
    assert.ok(
      tests.some((text) => loads.test(text)),
      `nobody loads ${name}`,
    )
  }
})
