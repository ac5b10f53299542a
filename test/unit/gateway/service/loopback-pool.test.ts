/** Addresses for peers: one each, the same at every start, found in constant time however many there are. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { LoopbackPool } from '../../../../src/gateway/service/loopback-pool.ts'

test('thousands of peers get an address each, which identifies them and survives a restart', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'pg-pool-'))
  try {
    const peers = Array.from({ length: 8_000 }, (_, i) => `peer-${i}`)
    const pool = await LoopbackPool.open(dir, 'our key')
    const began = performance.now()
    const addresses = peers.map((peer) => pool.addressOf(peer))
    assert.ok(performance.now() - began < 1_500, 'not for each a look at all') // 0.1 s; it was 3 s
    assert.equal(new Set(addresses).size, peers.length)
    for (const [i, peer] of peers.entries()) assert.equal(pool.peerAt(addresses[i]!), peer)
    const other = pool.another('peer-7', 1)!
    assert.ok(other !== addresses[7] && !addresses.includes(other))
    assert.deepEqual(
      [pool.peerAt(addresses[7]!), pool.peerAt(other), pool.addressOf('peer-7')],
      [undefined, 'peer-7', other],
    )
    await pool.save()
    const again = await LoopbackPool.open(dir, 'another key')
    assert.equal(again.another('peer-7', 2), undefined, 'promised addresses stay')
    assert.deepEqual(
      peers.map((peer) => again.addressOf(peer)),
      peers.map((peer, i) => (peer === 'peer-7' ? other : addresses[i])),
    )
    assert.equal(again.peerAt(other), 'peer-7')
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
})
