/** Requests and answers in order, each with its timeout, and the effect of losing the connection. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_REQUESTS, REQUEST_TIMEOUT_MS } from '../../../../src/proto/rendezvous/constants.ts'
import { RegistryClient } from '../../../../src/proto/rendezvous/registry-client.ts'

function connected(): RegistryClient<string> {
  const client = new RegistryClient<string>()
  client.handleConnected(0)
  return client
}

function results(client: RegistryClient<string>): string[] {
  const all: string[] = []
  for (let result = client.pollResult(); result !== undefined; result = client.pollResult())
    all.push(`${result.kind} ${result.purpose}`)
  return all
}

test('answers are matched to requests in sending order', () => {
  const client = connected()
  for (const purpose of ['a', 'b', 'c']) client.request(0, { type: purpose }, purpose)
  assert.deepEqual([client.pollRequest(), client.pollRequest()], [{ type: 'a' }, { type: 'b' }])
  client.handleReply({ type: 'a_ok' })
  client.handleReply({ type: 'error', error: 'not found' })
  client.handleReply({ type: 'nobody asked' })
  assert.deepEqual(results(client), ['reply a', 'refused b'])
})

test('without a connection a request fails immediately, and losing it fails all', () => {
  const client = new RegistryClient<string>()
  client.request(0, {}, 'early')
  assert.deepEqual(results(client), ['unreachable early'])
  client.handleConnected(0)
  client.request(0, {}, 'sent')
  client.pollRequest()
  client.request(0, {}, 'waiting')
  client.handleDisconnected()
  assert.deepEqual(results(client), ['unreachable sent', 'unreachable waiting'])
  assert.equal(client.nextTimeout(), Infinity)
})

test('a request without an answer makes the connection stale; a late answer is not mistaken for the next one', () => {
  const client = connected()
  client.request(0, {}, 'lost')
  client.pollRequest()
  client.handleTimeout(REQUEST_TIMEOUT_MS - 1)
  assert.equal(client.stale, false)
  client.handleTimeout(REQUEST_TIMEOUT_MS)
  assert.equal(client.stale, true)
  client.handleReply({ type: 'late_ok' })
  assert.deepEqual(results(client), ['unreachable lost'])
  assert.equal(client.nextTimeout(), Infinity)
  client.handleDisconnected()
  client.handleConnected(0)
  assert.equal(client.stale, false)
})

test('requests beyond the limit fail immediately', () => {
  const client = connected()
  for (let i = 0; i < MAX_REQUESTS; i++) client.request(0, {}, 'x')
  client.request(0, {}, 'one more')
  assert.deepEqual(results(client), ['unreachable one more'])
})
