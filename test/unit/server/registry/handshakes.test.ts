/** Trust needs both sides; handshake requests reach their node and disclose nothing to others. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { challenges } from '../../../../src/wire/registry-messages.ts'
import { Setting } from './setting.ts'

const DELIVERED = { type: 'request_handshake_ok', status: 'delivered' }

test('a pair takes effect once both reported, or one requested and the other accepted', () => {
  const setting = new Setting()
  const [alice, bob, carol, dave] = [setting.join(), setting.join(), setting.join(), setting.join()]
  setting.report(alice, bob)
  assert.equal(setting.trusted(alice, bob), false)
  setting.report(bob, alice)
  assert.equal(setting.trusted(alice, bob), true)

  setting.request(carol, alice)
  setting.respond(alice, carol, true) // without polling: the operator may know by other means
  assert.equal(setting.trusted(alice, carol), true)

  setting.respond(dave, alice, true)
  assert.equal(setting.trusted(dave, alice), false, 'an accept without a request is one-sided')
  setting.report(alice, dave)
  assert.equal(setting.trusted(dave, alice), true)
})

test('a report does not answer a request: only an accept does', () => {
  const setting = new Setting()
  const [alice, bob] = [setting.join(), setting.join()]
  setting.request(alice, bob)
  setting.report(bob, alice)
  assert.equal(setting.trusted(alice, bob), false)
  setting.respond(bob, alice, true)
  assert.equal(setting.trusted(alice, bob), true)
})

test('one-sided-trust counts one side, as the reference does', () => {
  const setting = new Setting({ compat: new Set(['one-sided-trust']) })
  const [alice, bob] = [setting.join(), setting.join()]
  setting.report(alice, bob)
  assert.equal(setting.trusted(bob, alice), true)
})

test('a revocation ends the pair for both, and one side cannot bring it back', () => {
  const setting = new Setting()
  const [alice, bob] = [setting.join(), setting.join()]
  setting.report(alice, bob)
  setting.report(bob, alice)
  assert.equal(setting.revoke(bob, alice)['type'], 'revoke_trust_ok')
  setting.report(alice, bob)
  assert.equal(setting.trusted(alice, bob), false)
  assert.equal(setting.revoke(bob, alice)['type'], 'revoke_trust_ok')
  assert.equal(setting.revoke(bob, alice)['type'], 'error')
})

test('a rejection forgets the request: a later accept is one-sided again', () => {
  const setting = new Setting()
  const [alice, bob] = [setting.join(), setting.join()]
  setting.request(alice, bob)
  setting.poll(bob)
  setting.respond(bob, alice, false)
  assert.equal(setting.poll(alice).responses[0]?.['accept'], false)
  setting.respond(bob, alice, true)
  assert.equal(setting.trusted(alice, bob), false)
})

test('polled entries name the sender, and come only once', () => {
  const setting = new Setting()
  const alice = setting.join({ hostname: 'alice' })
  const bob = setting.join()
  setting.request(alice, bob)
  const atSec = Math.floor(setting.now / 1000)
  assert.deepEqual(setting.poll(bob).requests, [
    {
      from_node_id: alice.id,
      justification: 'hello',
      timestamp: atSec,
      hostname: 'alice',
      public_key: alice.identity.publicKeyBase64,
    },
  ])
  assert.deepEqual(setting.poll(bob).requests, [])
  setting.respond(bob, alice, true)
  setting.respond(bob, alice, true)
  assert.deepEqual(
    setting.poll(alice).responses,
    [{ from_node_id: bob.id, accept: true, timestamp: atSec, public_key: bob.identity.publicKeyBase64 }],
    'a second answer replaces the first',
  )
})

test('requests, answers, trust and their history survive a restart', () => {
  const setting = new Setting()
  const [alice, bob, carol, dave] = [setting.join(), setting.join(), setting.join(), setting.join()]
  setting.report(alice, bob)
  setting.report(bob, alice)
  setting.request(carol, bob)
  setting.poll(bob) // carol has asked, bob knows
  setting.request(dave, bob)
  setting.respond(bob, alice, true)
  setting.restart()
  assert.equal(setting.trusted(alice, bob), true)
  assert.equal(setting.poll(alice).responses.length, 1)
  assert.deepEqual(
    setting.poll(bob).requests.map((entry) => entry['from_node_id']),
    [dave.id],
  )
  setting.respond(bob, carol, true)
  assert.equal(setting.trusted(bob, carol), true)
})

test('a request by name reaches the node behind it, and an unknown name looks the same', () => {
  const setting = new Setting()
  const alice = setting.join({ hostname: 'secret-agent' })
  const bob = setting.join()
  assert.deepEqual(setting.requestByName(bob, 'secret-agent'), DELIVERED)
  const written = setting.disk.size
  assert.deepEqual(setting.requestByName(bob, 'nobody-here'), DELIVERED)
  assert.ok(setting.registry.replyWaits)
  assert.equal(setting.disk.size, written + 1, 'a decoy is written: the response time reveals nothing either')
  assert.deepEqual(setting.requestByName(alice, 'secret-agent'), DELIVERED, "nor one's own")
  assert.deepEqual(
    setting.poll(alice).requests.map((entry) => entry['from_node_id']),
    [bob.id],
  )
  setting.respond(alice, bob, true)
  assert.equal(setting.trusted(alice, bob), true)
})

test('after a request by name, nothing tells which node it went to', () => {
  const setting = new Setting()
  const agent = setting.join({ hostname: 'secret-agent' })
  const [other, spy] = [setting.join(), setting.join()]
  setting.requestByName(spy, 'secret-agent')
  for (const node of [agent, other]) {
    assert.equal(setting.revoke(spy, node)['type'], 'error')
    setting.requestByName(spy, 'secret-agent')
    assert.deepEqual(setting.request(spy, node), DELIVERED)
    assert.equal(setting.trusted(spy, node), false)
  }
})

test('a request by name must be signed, well-formed and not guessed too fast', () => {
  const setting = new Setting()
  const [alice, bob] = [setting.join({ hostname: 'alice' }), setting.join()]
  const request = { type: 'request_handshake', from_node_id: bob.id, to_hostname: 'alice' }
  assert.equal(setting.ask(request)['type'], 'error')
  assert.equal(setting.askAs(alice, challenges.requestHandshake(bob.id, 'alice'), request)['type'], 'error')
  assert.match(String(setting.requestByName(bob, 'Not A Name')['error']), /^invalid hostname/)
  for (let i = 0; i < 60; i++) assert.deepEqual(setting.requestByName(bob, `guess-${i}`), DELIVERED)
  assert.match(String(setting.requestByName(bob, 'guess')['error']), /^rate limited/)
})

test('a second plain request errs as in the reference, with refresh or by name it replaces the first', () => {
  const setting = new Setting()
  const [alice, bob] = [setting.join({ hostname: 'alice' }), setting.join()]
  setting.request(bob, alice)
  assert.equal(setting.request(bob, alice)['error'], `handshake request already pending from node ${bob.id}`)
  assert.deepEqual(setting.request(bob, alice, { justification: 'newer', refresh: true }), DELIVERED)
  assert.equal(setting.poll(alice).requests[0]?.['justification'], 'newer')
  assert.deepEqual(setting.request(bob, alice), DELIVERED, 'polled: free to ask again')
  assert.deepEqual(setting.requestByName(bob, 'alice'), DELIVERED)
  assert.equal(setting.poll(alice).requests.length, 1)
})

test('an inbox holds a hundred requests, and a poll reply stays within a frame', () => {
  const setting = new Setting()
  const target = setting.join({ hostname: 'target' })
  const senders = Array.from({ length: 101 }, () => setting.join())
  const justification = '"'.repeat(1024) // doubles in JSON
  for (const sender of senders.slice(0, 100))
    assert.deepEqual(setting.request(sender, target, { justification }), DELIVERED)
  assert.match(String(setting.request(senders[100]!, target)['error']), /^too many/)
  assert.deepEqual(
    setting.requestByName(senders[100]!, 'target'),
    DELIVERED,
    'a full box cannot be used to test a name',
  )
  let polled = 0
  for (let rounds = 0; polled < 100; rounds++) {
    const reply = setting.poll(target)
    assert.ok(JSON.stringify(reply).length <= 65_536 && reply.requests.length > 0 && rounds < 10)
    polled += reply.requests.length
  }
  assert.match(String(setting.request(target, senders[0]!, { justification: 'x'.repeat(1025) })['error']), /too long/)
})
