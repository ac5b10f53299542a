/** Every option of the library has a doc comment, which editors show when the pointer is on it. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROOT } from '../architecture/source.ts'

const OPTIONS: readonly (readonly [file: string, name: string])[] = [
  ['src/api/create.ts', 'NodeOptions'],
  ['src/api/create.ts', 'CreateGatewayOptions'],
  ['src/config/flags.ts', 'Flags'],
  ['src/runtime/node/options.ts', 'OverlayNodeOptions'],
  ['src/runtime/daemon/daemon-node.ts', 'DaemonNodeOptions'],
  ['src/server/rendezvous.ts', 'RendezvousOptions'],
  ['src/api/serve.ts', 'ServeOptions'],
]

for (const [file, name] of OPTIONS)
  test(`every option of ${name} is explained`, () => {
    const bare = fieldsWithoutComment(readFileSync(join(ROOT, file), 'utf8'), name)
    assert.ok(bare.fields > 0, `no field of ${name} found in ${file}`)
    assert.deepEqual(bare.without, [])
  })

test('a field without a doc comment is found; one beside it is not enough', () => {
  const text = `export interface A extends B {
  /** Explained. */
  readonly a: string
  readonly b?: number // beside
  /**
   * Explained
   * at length.
   */
  readonly c: { readonly d: string }
}`
  assert.deepEqual(fieldsWithoutComment(text, 'A'), { fields: 3, without: ['b'] })
})

function fieldsWithoutComment(text: string, name: string): { readonly fields: number; readonly without: string[] } {
  const body = new RegExp(`interface ${name}\\b[^{]*\\{\\n([^]*?)\\n\\}`).exec(text)?.[1] ?? ''
  const lines = body.split('\n')
  const at = lines.flatMap((line, index) => (/^ {2}(readonly )?\w+\??:/.test(line) ? [index] : []))
  const without = at
    .filter((index) => lines[index - 1]?.endsWith('*/') !== true)
    .map((index) => /(\w+)\??:/.exec(lines[index]!)![1]!)
  return { fields: at.length, without }
}
