import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BeaconClient } from '../../../../src/proto/rendezvous/beacon-client.ts'
import { decodeBeaconMessage } from '../../../../src/wire/beacon-messages.ts'

const ENDPOINT = { address: '203.0.113.1', port: 4_000 }

/** The id in the question that is due at `now`; undefined: none is. */
function asks(client: BeaconClient, now: number): number | undefined {
  const bytes = client.nextTimeout() <= now ? client.pollDiscover(now) : undefined
  if (bytes === undefined) return undefined
  const message = decodeBeaconMessage(bytes)
  assert.ok(typeof message === 'object' && message.kind === 'discover')
  return message.node
}

for (const [what, demand] of [
  ['our id', (client: BeaconClient) => client.setNodeId(7)],
  ['a network that has changed', (client: BeaconClient) => client.askNow(20_000)],
  ['something unanswered', (client: BeaconClient) => client.refresh(20_000)],
] as const)
  test(`a query about ${what} is sent immediately, although the answer to an earlier one comes in the same turn`, () => {
    const client = new BeaconClient()
    assert.equal(asks(client, 0), 0)
    client.handleReply(10, ENDPOINT)
    asks(client, 19_000) // still under way
    demand(client)
    client.handleReply(20_000, ENDPOINT)
    assert.equal(asks(client, 20_000), what === 'our id' ? 7 : 0)
    client.handleReply(20_010, ENDPOINT)
    assert.equal(asks(client, 20_020), undefined, 'and then it rests')
  })
