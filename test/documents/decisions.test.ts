/** Every decision has a number, a status, a date and what would change it, and the list of them is complete. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from '../architecture/source.ts'
import { readDocuments } from './documents.ts'

const FOLDER = 'docs/decisions'
const pages = [...readDocuments()].filter(([path]) => path.startsWith(`${FOLDER}/0`))
const list = readDocuments().get(`${FOLDER}/README.md`)!

test('every decision is numbered as its file, and says its status, date and what would change it', () => {
  assert.ok(pages.length > 20)
  pages.forEach(([path, text], index) => {
    const number = Number(basename(path).slice(0, 4))
    assert.equal(number, index + 1, `${path}: numbers are not in a row`)
    assert.match(text, new RegExp(`^# ${number}\\. \\S`), path)
    assert.match(
      text,
      /^Status: (accepted|superseded [^\n]+), \d{4}-\d{2}-\d{2}(; revised \d{4}-\d{2}-\d{2})?\.$/m,
      path,
    )
    assert.match(text, /would change (our mind|it)/i, path)
  })
})

test('the list names every decision, and one that is superseded names its successor', () => {
  for (const [path, text] of pages) {
    assert.ok(list.includes(`(${basename(path)})`), path)
    const successors = [...(/^Status: superseded ([^\n]+)$/m.exec(text)?.[1] ?? '').matchAll(/\]\(([^)]+)\)/g)]
    if (text.includes('Status: superseded')) assert.ok(successors.length > 0, path)
    for (const [, successor] of successors)
      assert.ok(existsSync(join(ROOT, FOLDER, successor!)), `${path}: ${successor}`)
  }
})
