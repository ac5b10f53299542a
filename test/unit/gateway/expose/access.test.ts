/** Who may use an exposure: each kind of entry, and what a denial costs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AccessList } from '../../../../src/gateway/expose/access.ts'
import type { AccessNode } from '../../../../src/gateway/expose/access.ts'
import type { AboutNode } from '../../../../src/runtime/overlay.ts'

const KEY = 'A'.repeat(43) + '='

/** An overlay of two trusted nodes, 2 and 3, and a stranger, 4; counts what it is asked. */
function overlay(about: Readonly<Record<number, AboutNode | null>> = {}) {
  const names = new Map([['alice', 2]])
  const asked = { resolve: 0, about: 0 }
  const node: AccessNode = {
    isTrusted: async (id) => id === 2 || id === 3,
    trusted: async () => [
      { nodeId: 2, publicKey: KEY },
      { nodeId: 3, publicKey: 'B'.repeat(43) + '=' },
    ],
    resolve: async (name) => {
      asked.resolve += 1
      const id = names.get(name)
      if (id === undefined) throw new Error('no such node')
      return id
    },
    about: async (id) => {
      asked.about += 1
      return about[id] ?? null
    },
  }
  return { node, names, asked }
}

async function decisions(allow: readonly string[], node: AccessNode): Promise<boolean[]> {
  const list = new AccessList(node, allow)
  list.start()
  await new Promise((resolve) => {
    setImmediate(resolve)
  }) // what is found out ahead is there
  const answers = [await list.allows(2), await list.allows(3), await list.allows(4)]
  list.stop()
  return answers
}

test('trusted means every trusted node, and nobody else is let in by any entry', async () => {
  assert.deepEqual(await decisions(['trusted'], overlay().node), [true, true, false])
  assert.deepEqual(await decisions(['4', '0:0000.0000.0004'], overlay().node), [false, false, false])
})

test('single nodes are named by hostname, address, node id and key', async () => {
  for (const entry of ['alice', '0:0000.0000.0002', '2', `key:${KEY}`])
    assert.deepEqual(await decisions([entry], overlay().node), [true, false, false], entry)
})

test("tags and networks are the registry's word; where nobody tells them they let nobody in", async () => {
  const about = {
    2: { publicKey: KEY, networks: [0, 7], tags: ['ci'] },
    3: { publicKey: '', networks: [0], tags: ['web'] },
  }
  assert.deepEqual(await decisions(['tag:ci'], overlay(about).node), [true, false, false])
  assert.deepEqual(await decisions(['net:7'], overlay(about).node), [true, false, false])
  assert.deepEqual(await decisions(['tag:ci', 'tag:web'], overlay(about).node), [true, true, false])
  assert.deepEqual(await decisions(['tag:ci', 'net:7'], overlay().node), [false, false, false])
})

test('a denial asks nobody while every name is known: it takes no longer than a port without a service', async () => {
  const { node, asked } = overlay({
    2: { publicKey: KEY, networks: [], tags: ['ci'] },
    3: { publicKey: '', networks: [], tags: [] },
  })
  const list = new AccessList(node, ['alice', 'tag:ci'])
  list.start()
  await new Promise((resolve) => {
    setImmediate(resolve)
  })
  const before = { ...asked }
  assert.equal(await list.allows(3), false)
  assert.deepEqual(asked, before)
  list.stop()
})

test('a name whose node comes later counts as soon as it is there', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const { node, names } = overlay()
  let now = 10_000
  t.mock.method(performance, 'now', () => now)
  const list = new AccessList(node, ['bob'])
  list.start()
  assert.equal(await list.allows(3), false)
  names.set('bob', 3)
  now += 2_000
  assert.equal(await list.allows(3), true)
  list.stop()
})

test('a node that was trusted just now, and knocks right after the names were asked about, is asked about again', async () => {
  const { node, names, asked } = overlay()
  const list = new AccessList(node, ['bob', 'carol'])
  list.start()
  names.set('bob', 3) // the question about it is under way
  assert.equal(await list.allows(3), true)
  const before = asked.resolve
  assert.equal(await list.allows(2), false)
  assert.equal(await list.allows(2), false)
  assert.equal(asked.resolve, before + 2) // knocking again at once asks nobody
  list.stop()
})
