/** What every RegistryStore must do. `open` is called repeatedly for the same location. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RegistryStore } from '../../../../src/server/store/store.ts'

export function storeCompliance(name: string, place: () => Promise<() => Promise<RegistryStore>>): void {
  test(`${name}: an empty store loads nothing and flushes at once`, async () => {
    const store = await (await place())()
    assert.deepEqual([...store.load('node/')], [])
    await store.flushed()
    await store.close()
  })

  test(`${name}: records put and not deleted are there after reopening, by kind`, async () => {
    const open = await place()
    const first = await open()
    const value = { text: 'ü"\u0000', list: [1, 2], flag: true }
    first.put('node/1', value)
    value.list.push(3) // the store has its own copy
    first.put('node/2', { old: true })
    first.put('node/2', { old: false })
    first.put('node/3', {})
    first.put('nodes/next', { nextId: 3 })
    first.put('account/1', {})
    first.delete('node/3')
    first.delete('node/4')
    await first.flushed()
    await first.close()
    await first.close()
    const second = await open()
    const records = [...second.load('node/')].sort((a, b) => (a.key < b.key ? -1 : 1))
    assert.deepEqual(records, [
      { key: 'node/1', value: { text: 'ü"\u0000', list: [1, 2], flag: true } },
      { key: 'node/2', value: { old: false } },
    ])
    await second.close()
  })

  test(`${name}: closing flushes earlier puts`, async () => {
    const open = await place()
    const first = await open()
    for (let i = 0; i < 1_000; i++) first.put(`trust/${i}`, { i })
    await first.close()
    const second = await open()
    assert.equal([...second.load('trust/')].length, 1_000)
    await second.close()
  })
}
