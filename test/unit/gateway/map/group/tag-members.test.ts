/**
 * Which nodes have a tag: peers in the configuration or, for other tags, chosen peers that claim them; never guests.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TagMembers, type TagNode } from '../../../../../src/gateway/map/group/tag-members.ts'
import { configuredTags, selfAssignedTags } from '../../../../../src/gateway/model/tags.ts'
import { parseExposeSpec } from '../../../../../src/gateway/model/expose-spec.ts'
import { parseMapSpec } from '../../../../../src/gateway/model/map-spec.ts'

const entry = { approvedAt: '', mutual: true, network: 0 }

/** Every node claims both tags. */
function world(): { node: TagNode; asked: number[] } {
  const asked: number[] = []
  const node: TagNode = {
    trusted: async () => [
      { ...entry, nodeId: 2, publicKey: 'ALICE' },
      { ...entry, nodeId: 3, publicKey: 'MALLORY' },
      { ...entry, nodeId: 4, publicKey: 'GUEST', guest: true },
      { ...entry, nodeId: 5, publicKey: 'MEMBER', network: 7 },
    ],
    about: async (id) => {
      asked.push(id)
      return { publicKey: '', networks: [], tags: ['ci', 'web'] }
    },
    hostnameOf: (id) => (id === 2 ? 'alice' : undefined),
  }
  return { node, asked }
}

const CONFIGURED = configuredTags({ alice: { key: 'ALICE', tags: ['ci'] }, bob: { key: 'BOB' } })

test('a tag in the configuration belongs to its keys, and the registry is not asked', async () => {
  const { node, asked } = world()
  const members = new TagMembers(node, ['ci'], CONFIGURED, () => 0)
  await members.refresh()
  assert.deepEqual(members.members, [{ nodeId: 2, label: 'alice' }])
  assert.deepEqual(asked, [])
})

test('a tag not assigned in the configuration is claimed by chosen peers; guests and members of a network are not asked', async () => {
  const { node, asked } = world()
  const members = new TagMembers(node, ['web'], CONFIGURED, () => 0)
  await members.refresh()
  assert.deepEqual(
    members.members.map(({ nodeId }) => nodeId),
    [2, 3],
  )
  assert.deepEqual(asked.toSorted(), [2, 3])
})

test('self-assigned tags are named in the warning, once each', () => {
  const maps = [parseMapSpec('0:tag:web:80'), parseMapSpec('0:tag:ci:81')]
  const exposes = [parseExposeSpec('80=3000,allow=tag:web,allow=tag:db,allow=bob')]
  assert.deepEqual(selfAssignedTags(CONFIGURED, maps, exposes), ['web', 'db'])
})
