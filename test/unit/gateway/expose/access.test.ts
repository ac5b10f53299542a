/** Who may use an exposure: each kind of entry, and what a denial costs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AccessList } from '../../../../src/gateway/expose/access.ts'
import type { AccessNode } from '../../../../src/gateway/expose/access.ts'
import type { ConfiguredTags } from '../../../../src/gateway/model/tags.ts'
import type { AboutNode } from '../../../../src/runtime/overlay.ts'
import type { TrustedEntry } from '../../../../src/wire/trust-file.ts'

const KEY = 'A'.repeat(43) + '='
const OTHER_KEY = 'B'.repeat(43) + '='

const entry = { approvedAt: '', mutual: true, network: 0 }
const TRUSTED: readonly TrustedEntry[] = [
  { ...entry, nodeId: 2, publicKey: KEY },
  { ...entry, nodeId: 3, publicKey: OTHER_KEY },
  { ...entry, nodeId: 5, publicKey: 'C'.repeat(43) + '=', guest: true },
  { ...entry, nodeId: 6, publicKey: 'E'.repeat(43) + '=', network: 7 },
]

/**
 * An overlay of two trusted nodes, 2 (alice) and 3, a guest, 5, a member of a network, 6, and a stranger, 4; counts its
 * queries.
 */
function overlay(about: Readonly<Record<number, AboutNode | null>> = {}) {
  const asked = { about: 0 }
  const node: AccessNode = {
    trustOf: async (id) => TRUSTED.find(({ nodeId }) => nodeId === id),
    trusted: async () => TRUSTED,
    means: async (name, id) => (name === 'alice' && id === 2) || name === 'anybody',
    about: async (id) => {
      asked.about += 1
      return about[id] ?? null
    },
  }
  return { node, asked }
}

async function decisions(allow: readonly string[], node: AccessNode, tags?: ConfiguredTags): Promise<boolean[]> {
  const list = new AccessList(node, allow, tags)
  list.start()
  await new Promise((resolve) => {
    setImmediate(resolve)
  }) // names resolved in advance are available
  const answers = [await list.allows(2), await list.allows(3), await list.allows(4)]
  list.stop()
  return answers
}

async function letIn(allow: readonly string[], ids: readonly number[], node: AccessNode): Promise<boolean[]> {
  return await Promise.all(ids.map((id) => new AccessList(node, allow).allows(id)))
}

test('no name, no tag and no "trusted" admits a guest or a member vouched for only by its network', async () => {
  const about = { publicKey: '', networks: [0, 7], tags: ['ci'] }
  const { node } = overlay({ 5: about, 6: about })
  for (const entry of ['trusted', 'anybody', 'tag:ci'])
    assert.deepEqual(await letIn([entry], [5, 6], node), [false, false], entry)
  assert.deepEqual(await letIn(['5', `key:${TRUSTED[3]!.publicKey}`], [5, 6], node), [true, true], 'by id and key')
  assert.deepEqual(await letIn(['net:7'], [6], node), [true])
})

test('a tag assigned in the configuration belongs to its keys, whatever nodes call themselves', async () => {
  const { node, asked } = overlay({ 2: { publicKey: KEY, networks: [], tags: ['ci'] } })
  assert.deepEqual(await decisions(['tag:ci'], node, new Map([['ci', new Set([OTHER_KEY])]])), [false, true, false])
  assert.equal(asked.about, 0)
})

test('trusted means every trusted node, and no entry admits any other', async () => {
  assert.deepEqual(await decisions(['trusted'], overlay().node), [true, true, false])
  assert.deepEqual(await decisions(['4', '0:0000.0000.0004'], overlay().node), [false, false, false])
})

test('single nodes can be named by hostname, address, node id or key', async () => {
  for (const entry of ['alice', '0:0000.0000.0002', '2', `key:${KEY}`])
    assert.deepEqual(await decisions([entry], overlay().node), [true, false, false], entry)
})

test('tags and networks come from the registry; without it they admit no one', async () => {
  const about = {
    2: { publicKey: KEY, networks: [0, 7], tags: ['ci'] },
    3: { publicKey: '', networks: [0], tags: ['web'] },
  }
  assert.deepEqual(await decisions(['tag:ci'], overlay(about).node), [true, false, false])
  assert.deepEqual(await decisions(['net:7'], overlay(about).node), [true, false, false])
  assert.deepEqual(await decisions(['tag:ci', 'tag:web'], overlay(about).node), [true, true, false])
  assert.deepEqual(await decisions(['tag:ci', 'net:7'], overlay().node), [false, false, false])
})

test('a denial needs no look-up: it takes no longer than a port without a service', async () => {
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
