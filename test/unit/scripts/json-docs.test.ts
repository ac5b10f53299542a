/** The types of the records as tables: fields, what may be absent, and the comments that explain them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

const { interfacesOf, jsonDocument } = (await import(
  String(new URL('../../../scripts/json-docs.mjs', import.meta.url))
)) as {
  interfacesOf(text: string): readonly object[]
  jsonDocument(): string
}

test('interfaces are read with their comments, types over several lines, and what may be absent', () => {
  const text = `/** The file. */
import type { A } from './a.ts'

export interface Plain {
  readonly name: string
}

/**
 * Explained
 * at length.
 */
export interface Fancy extends Plain {
  readonly id: NodeId | null // 0: none
  /** Two numbers. */
  readonly pair?: {
    readonly one: number
    readonly two: readonly string[]
  } // beside
}
`
  assert.deepEqual(interfacesOf(text), [
    {
      name: 'Plain',
      base: '',
      about: '',
      fields: [{ field: 'name', optional: false, type: 'string', text: '' }],
    },
    {
      name: 'Fancy',
      base: 'Plain',
      about: 'Explained at length.',
      fields: [
        { field: 'id', optional: false, type: 'number | null', text: '0: none' },
        { field: 'pair', optional: true, type: '{ one: number two: string[] }', text: 'Two numbers. beside' },
      ],
    },
  ])
})

test('the page has every record and links to those that it names', () => {
  const page = jsonDocument()
  for (const name of ['StatusRecord', 'PeerStatus', 'ReadyEvent', 'Changes'])
    assert.ok(page.includes(`\n### ${name}\n`), name)
  for (const [, target] of page.matchAll(/\]\(#([a-z]+)\)/g))
    assert.ok(page.toLowerCase().includes(`\n### ${target}\n`), target)
})
