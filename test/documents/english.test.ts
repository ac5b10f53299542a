/**
 * The patterns of english.ts become fewer, never more. `node --import tsx test/documents/english.test.ts --where NAME` lists
 * the places of one; after mending some, `--lower` writes the new counts.
 */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { readTree } from '../architecture/source.ts'
import { readDocuments } from './documents.ts'
import { PATTERNS, countPatterns, findPattern } from './english.ts'
import type { Counts } from './english.ts'

const BASELINE = new URL('english.json', import.meta.url)
const files = new Map(
  [...readTree('src'), ...readTree('test'), ...readTree('bench'), ...readTree('examples'), ...readDocuments()].filter(
    // These quote the patterns, and the protocol's pages quote what others write.
    ([path]) => !path.startsWith('test/documents/'),
  ),
)
const baseline = JSON.parse(readFileSync(BASELINE, 'utf8')) as Counts
const counts = countPatterns(files)

const [option, name = ''] = process.argv.slice(2)
if (option === '--where') process.stdout.write(`${findPattern(files, name).join('\n')}\n`)
if (option === '--lower')
  writeFileSync(
    BASELINE,
    `${JSON.stringify(
      Object.fromEntries(
        Object.keys(PATTERNS).map((key) => [key, Math.min(counts[key]!, baseline[key] ?? Number.MAX_SAFE_INTEGER)]),
      ),
      null,
      2,
    )}\n`,
  )

if (option === undefined) {
  test('no pattern of poor English is found more often than before', () => {
    assert.ok(files.size > 500)
    const worse = Object.entries(PATTERNS)
      .filter(([key]) => counts[key]! > (baseline[key] ?? 0))
      .map(
        ([key, { instead }]) =>
          `"${key}": ${counts[key]}, was ${baseline[key]}: write ${instead}; find them with --where "${key}"`,
      )
    assert.deepEqual(worse, [])
  })

  test('every pattern finds what it is for, in comments, strings and documents, and not in code', () => {
    const bad: Readonly<Record<string, string>> = {
      'trying on': 'it keeps trying on',
      'so often / so long / so much': 'looked at so often',
      'is no / are no': 'this is no ticket',
      anew: 'asked anew',
      shall: 'what shall be done',
      'he, his': 'waits for his timer',
      whoever: 'whoever waits',
      told: 'the reason is told',
      'hears of': 'whoever hears of it',
      'does not read': 'a line that does not read.',
      'for ever': 'open for ever',
      straight: 'the straight way',
      'at the most': 'ten at the most',
      'some 8': 'some 8 KB',
      'as good as': 'as good as nothing',
      'goes on': 'a stream goes on',
      'nobody, somebody': 'somebody asks',
      anybody: 'anybody can send these',
      'gives way': 'the oldest gives way',
      'said again': 'a reset is said again',
      'makes no sense': 'what makes no sense is refused',
      'all the same': 'it is tried all the same.',
      'by itself': 'it ends by itself',
      'lets in': 'a NAT lets in what was asked for',
      'stands in, beside': 'the port stands behind the colon',
      'in clear': 'nothing leaves in clear',
      doubled: 'lost or doubled packets',
      'handed in': 'time is handed in',
      'for so long': 'silent for so long',
      'another than': 'another key than before',
    }
    const inEach = (text: string): [string, string][] => [
      ['a.md', `${text}\n\`\`\`\n${text}\n\`\`\`\n`],
      ['b.ts', `/** ${text} */\nconst value = 1\n`],
      ['c.ts', `const value = '${text}'\n`],
    ]
    assert.deepEqual(Object.keys(bad), Object.keys(PATTERNS))
    for (const [key, text] of Object.entries(bad)) {
      for (const [path, content] of inEach(text))
        assert.ok(countPatterns(new Map([[path, content]]))[key]! > 0, `${key} in ${path}`)
      assert.equal(countPatterns(new Map([['a.md', inEach(text)[0]![1]]]))[key], 1, `${key}: code of a document counts`)
    }
    for (const good of ['// there is no reply; it is no longer one', '// it is not a ticket', 'const his = shall.told'])
      assert.deepEqual(
        Object.values(countPatterns(new Map([['x.ts', good]]))).filter((count) => count > 0),
        [],
        good,
      )
  })
}
