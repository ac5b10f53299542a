/** What the log shows of the overlay, and how much of it others can trigger. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EventTeller } from '../../../src/gateway/overlay-events.ts'
import { silentLogger } from '../../../src/runtime/log.ts'

test('a peer that offers new keys fifty times a second neither floods the log nor hides other peers', () => {
  const lines: string[] = []
  const note = (fields: object): void => void lines.push(String((fields as { peer: string }).peer))
  const teller = new EventTeller({ ...silentLogger, info: note, warn: note, error: note }, () => {})
  for (let i = 0; i < 500; i++) {
    teller.tell({ kind: 'peer', node: 66, peerName: 'eve', state: 'restarted' })
    teller.tell({ kind: 'peer', node: 66, peerName: 'eve', state: 'connected' })
    teller.tell({ kind: 'peer', node: 1_000 + i, peerName: `peer-${i}`, state: 'connected' })
  }
  assert.equal(lines.filter((peer) => peer === 'eve').length, 2)
  assert.equal(lines.length, 502)
})

test('a revocation that the registry knows nothing of is not a warning, any other refusal is', () => {
  const warnings: string[] = []
  const warn = (fields: object): void => void warnings.push((fields as { request: string }).request)
  const teller = new EventTeller({ ...silentLogger, warn }, () => {})
  teller.tell({ kind: 'registry_refused', request: 'revoke', text: 'request failed' })
  teller.tell({ kind: 'registry_refused', request: 'revoke', text: 'rate limited' })
  teller.tell({ kind: 'registry_refused', request: 'register', text: 'request failed' })
  assert.deepEqual(warnings, ['revoke', 'register'])
})
