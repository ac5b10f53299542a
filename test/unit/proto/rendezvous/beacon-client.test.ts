import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BeaconClient } from '../../../../src/proto/rendezvous/beacon-client.ts'
import { decodeBeaconMessage } from '../../../../src/wire/beacon-messages.ts'

const ENDPOINT = { address: '203.0.113.1', port: 4_000 }
const ELSEWHERE = { address: '203.0.113.9', port: 7_777 }
const KEY = new Uint8Array(32).fill(7)

function newClient(): BeaconClient {
  let drawn = 0
  return new BeaconClient({ publicKey: KEY, random: (count) => new Uint8Array(count).fill(++drawn) })
}

/** The transaction of the query due at `now`. */
function transactionAt(client: BeaconClient, now: number): Uint8Array {
  const message = decodeBeaconMessage(client.pollDiscover(now)!)
  assert.ok(typeof message === 'object' && message.kind === 'discover' && message.question !== undefined)
  return message.question.transaction.slice()
}

/** The id in the query due at `now`; undefined: none is due. */
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
  test(`a query about ${what} is sent at once, even if the answer to an earlier one arrives in the same turn`, () => {
    const client = newClient()
    assert.equal(asks(client, 0), 0)
    client.handleReply(10, ENDPOINT, undefined)
    asks(client, 19_000) // still in flight
    demand(client)
    client.handleReply(20_000, ENDPOINT, undefined)
    assert.equal(asks(client, 20_000), what === 'our id' ? 7 : 0)
    client.handleReply(20_010, ENDPOINT, undefined)
    assert.equal(asks(client, 20_020), undefined, 'and then it rests')
  })

test("a reply with a transaction other than the last query's, or with none from a beacon that uses them, is rejected", () => {
  const client = newClient()
  const transaction = transactionAt(client, 0)
  const answer = { transaction, secondPort: 9_002, isFromSecond: false }
  assert.deepEqual(transactionAt(client, 150), transaction, 'the same query again: the first answer may be late')
  assert.ok(!client.expects({ ...answer, transaction: new Uint8Array(8).fill(200) }))
  assert.ok(client.expects(undefined), 'it may be a different implementation')
  assert.ok(client.expects(answer))
  assert.ok(client.handleReply(200, ENDPOINT, answer))
  assert.notDeepEqual(transactionAt(client, 3_700), transaction)
  assert.ok(!client.expects(answer) && !client.expects(undefined))
})

test('no reply is accepted before a query, and a silent beacon may come back as a different implementation', () => {
  const client = newClient()
  assert.ok(!client.expects(undefined))
  client.handleReply(10, ENDPOINT, { transaction: transactionAt(client, 0), secondPort: 0, isFromSecond: false })
  assert.ok(!client.expects(undefined))
  for (const at of [20_000, 20_150, 20_450]) client.pollDiscover(at)
  assert.ok(client.silent && client.expects(undefined))
  assert.ok(client.handleReply(20_500, ELSEWHERE, undefined))
  client.pollDiscover(60_000)
  assert.ok(client.expects(undefined))
})
