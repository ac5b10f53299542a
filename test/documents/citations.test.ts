/** Every citation of the protocol's description leads to a heading or a numbered quirk of it, and every named document exists. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { readTree, ROOT } from '../architecture/source.ts'
import { anchorsOf, citationsOf, danglingCitations } from './citations.ts'
import { readDocuments } from './documents.ts'

const PROTOCOL = join(ROOT, 'docs/protocol')
const pages = new Map(
  readdirSync(PROTOCOL).map((file) => [file.replace(/\.md$/, ''), readFileSync(join(PROTOCOL, file), 'utf8')]),
)
const documents = readDocuments()
const files = new Map([...readTree('src'), ...readTree('test'), ...readTree('bench'), ...documents])

test('every citation in sources, tests and documents resolves', () => {
  const cited = [...files.values()].reduce((sum, text) => sum + citationsOf(text).length, 0)
  assert.ok(cited > 100, `only ${cited} citations found`)
  assert.deepEqual(
    danglingCitations(new Map([...files].filter(([path]) => !path.startsWith('test/documents/'))), pages),
    [],
  )
})

test('every page of the protocol has anchors, and the overview links to each', () => {
  for (const [name, text] of pages) {
    if (name === 'README') continue
    assert.ok(anchorsOf(text).size > 2, name)
    assert.ok(pages.get('README')!.includes(`(${name}.md)`), name)
  }
})

test('every relative link in a document leads to a file', () => {
  const dead = [...documents].flatMap(([path, text]) =>
    [...text.replaceAll(/`[^`]*`/g, '').matchAll(/\]\((?!https?:|mailto:|#)([^)\s#]+)(?:#[^)]*)?\)/g)]
      .map((match) => match[1]!)
      .filter((link) => !existsSync(join(ROOT, dirname(path), link)))
      .map((link) => `${path}: ${link}`),
  )
  assert.deepEqual(dead, [])
})

test('every docs/*.md that a source or a test names exists', () => {
  const dead = [...files].flatMap(([path, text]) =>
    [...text.matchAll(/\bdocs\/[\w/.-]+\.md\b/g)]
      .map(([name]) => name)
      .filter((name) => !existsSync(join(ROOT, name)) && !path.startsWith('test/documents/'))
      .map((name) => `${path}: ${name}`),
  )
  assert.deepEqual(dead, [])
})

test('every source, test or script that a document names by its path exists', () => {
  const dead = [...documents].flatMap(([path, text]) =>
    [...text.matchAll(/(?<![\w/.-])(?:src|test|scripts|bench|examples)\/[\w/.-]+\.(?:ts|mjs|json)\b/g)]
      .map(([name]) => name)
      .filter((name) => !existsSync(join(ROOT, name)))
      .map((name) => `${path}: ${name}`),
  )
  assert.deepEqual(dead, [])
})

test('a citation that leads nowhere is seen, however it is written', () => {
  const page = new Map([
    ['tunnel', '## 2. Frames\n### 2.1 PILA signature\n'],
    ['stream', '| Q1 | FIN |\n| Q2 | no half-close |\n### 5.1 What Go does\n'],
    ['today', '#### U7: relay\n'],
    ['addressing-and-packets', '## 3. Header\n'],
  ])
  const dangling = (text: string): number => danglingCitations(new Map([['src/x.ts', text]]), page).length
  for (const good of [
    '// tunnel.md §2.1 [R]',
    '// (stream.md Q1, Q2; stream.md §5.1)',
    '// stream.md Q1 to Q2',
    '// addressing §3',
    '/** tunnel.md\n * §2.1 */',
    '// today.md U7',
    '// RFC 8032 §5.1.3, quirk Q9, README §9',
  ])
    assert.equal(dangling(good), 0, good)
  for (const bad of [
    '// tunnel.md §2.2',
    '// stream.md Q1, Q9',
    '// stream.md Q1 to Q9',
    '// addressing §4',
    '/** tunnel.md\n * §3 */',
    '// today.md U8',
    '// registry.md §1',
  ])
    assert.equal(dangling(bad), 1, bad)
})
