/** The bodies of network, managed, broadcast and prefer-direct requests, and a daemon's words for what is missing. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { utf8 } from '../../../src/base/bytes.ts'
import {
  decodeBroadcastRequest,
  decodeManagedRequest,
  decodeNetworkRequest,
  decodePreferDirectRequest,
} from '../../../src/wire/ipc-bodies.ts'

const bytes = (...parts: readonly (number | string)[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === 'number' ? [part] : [...utf8(part)])))

test('network requests', () => {
  assert.deepEqual(decodeNetworkRequest(bytes(1)), { sub: 'list' })
  assert.deepEqual(decodeNetworkRequest(bytes(2, 1, 2, 'token')), { sub: 'join', network: 258, token: 'token' })
  assert.deepEqual(decodeNetworkRequest(bytes(3, 0, 9)), { sub: 'leave', network: 9 })
  assert.deepEqual(decodeNetworkRequest(bytes(4, 0, 9)), { sub: 'members', network: 9 })
  assert.deepEqual(decodeNetworkRequest(bytes(5, 0, 9, 0, 0, 1, 0)), { sub: 'invite', network: 9, node: 256 })
  assert.deepEqual(decodeNetworkRequest(bytes(6)), { sub: 'poll_invites' })
  assert.deepEqual(decodeNetworkRequest(bytes(7, 0, 9, 1)), { sub: 'respond_invite', network: 9, accept: true })
  const faults = [
    [[], 'network: missing sub-command'],
    [[0], 'network: unknown sub-command 0x00'],
    [[2, 0], 'network join: missing network_id'],
    [[3], 'network leave: missing network_id'],
    [[4], 'network members: missing network_id'],
    [[5, 0, 9, 0, 0, 1], 'network invite: missing network_id or target_node_id'],
    [[7, 0, 9], 'network respond-invite: missing network_id or accept flag'],
    [[8], 'network: unknown sub-command 0x08'],
  ] as const
  for (const [body, fault] of faults) assert.equal(decodeNetworkRequest(Uint8Array.from(body)), fault)
})

test('managed requests', () => {
  assert.deepEqual(decodeManagedRequest(bytes(2)), { sub: 'status' })
  assert.deepEqual(decodeManagedRequest(bytes(4, 0, 1)), { sub: 'cycle' })
  assert.deepEqual(decodeManagedRequest(bytes(5, 0, 0, 1)), { sub: 'get_policy', network: 1 })
  assert.deepEqual(decodeManagedRequest(bytes(5, 1, 0, 1, 0, 0, '{}')), { sub: 'set_policy', network: 1 })
  assert.deepEqual(decodeManagedRequest(bytes(6, 0, 0, 1, 0, 0, 0, 7)), { sub: 'get_tags', network: 1, node: 7 })
  assert.deepEqual(decodeManagedRequest(bytes(6, 1, 0, 1, 0, 0, 0, 7, '["x"]')), {
    sub: 'set_tags',
    network: 1,
    node: 7,
    tags: '["x"]',
  })
  assert.deepEqual(decodeManagedRequest(bytes(7)), { sub: 'reconcile' })
  const faults = [
    [[], 'managed: missing sub-command'],
    [[1], 'managed: unknown sub-command 0x01'],
    [[5, 0, 0], 'managed policy: missing sub-sub-command and network_id'],
    [[6, 0, 0, 1, 0, 0, 0], 'managed member-tags: missing action, network_id, or node_id'],
  ] as const
  for (const [body, fault] of faults) assert.equal(decodeManagedRequest(Uint8Array.from(body)), fault)
})

test('broadcast and prefer-direct requests', () => {
  assert.deepEqual(decodeBroadcastRequest(bytes(0, 1, 15, 160, 0, 3, 'abc', 'hi')), {
    network: 1,
    port: 4_000,
    data: utf8('hi'),
  })
  assert.equal(decodeBroadcastRequest(bytes(0, 1, 15, 160, 0)), 'broadcast: missing header')
  assert.equal(decodeBroadcastRequest(bytes(0, 1, 15, 160, 0, 4, 'abc')), 'broadcast: truncated token')
  assert.equal(decodePreferDirectRequest(bytes(0, 0, 1, 0)), 256)
  assert.equal(decodePreferDirectRequest(bytes(0, 0, 1)), 'prefer_direct: payload must be 4 bytes (node_id)')
})
