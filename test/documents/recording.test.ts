/** The recording in the README: well-formed, of the commands that the README shows, and without anything of the machine it was made on. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from '../architecture/source.ts'

const { drawn } = (await import(String(new URL('../../scripts/recording.mjs', import.meta.url)))) as {
  drawn(
    frames: readonly { title: string; command: string; text: string; after?: { command: string; text: string } }[],
    ticket?: string,
  ): string
}
const recording = readFileSync(join(ROOT, 'docs/recording.svg'), 'utf8')
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')

test('the README shows the recording, and it shows the commands of the README', () => {
  assert.ok(readme.includes('](docs/recording.svg)'))
  for (const command of ['pilotgate share 3000', 'pilotgate join pgt1_']) {
    assert.ok(recording.includes(`>$ ${command}`), command)
    assert.ok(readme.includes(command), command)
  }
  assert.ok(recording.includes('Hello from your machine'), 'the service was reached')
})

test('it is well-formed, and has no complete ticket and no path of a machine', () => {
  assertWellFormed(recording)
  assert.ok(!/\/(tmp|root|home|work|Users)\//.test(recording))
  for (const [ticket] of recording.matchAll(/pgt1_[\w-]+/g)) assert.ok(ticket.length < 30, ticket)
})

test('output is drawn as text: markup is escaped, control sequences are gone, long lines are broken', () => {
  const long = 'x'.repeat(100)
  const svg = drawn([{ title: 'a<b', command: 'c & d', text: `\u001b[31m<red>\u001b[0m\r\n${long}\r\n` }])
  assertWellFormed(svg)
  assert.ok(svg.includes('>&#60;red&#62;</text>'), svg)
  assert.ok(svg.includes(`>${'x'.repeat(74)}</text>`) && svg.includes(`>${'x'.repeat(26)}</text>`))
})

function assertWellFormed(svg: string): void {
  const open: string[] = []
  for (const [, end, name, closed] of svg.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
    if (end === '/') assert.equal(open.pop(), name)
    else if (closed !== '/') open.push(name!)
  }
  assert.deepEqual(open, [])
}
