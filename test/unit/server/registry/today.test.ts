/**
 * What daemons and pilotctl of today ask beyond those of April: tags of members, policies, a network without an owner, badges
 * and recovery; and what the operator may demand beyond the defaults.
 */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { challenges } from '../../../../src/wire/registry-messages.ts'
import { REFUSED, Setting } from './setting.ts'
import type { Member, Reply } from './setting.ts'

const ADMIN = { admin_token: 'a token of some length' }

/** A network 1 with an owner and a member, made by the admin without naming an owner. */
function network(setting: Setting): { owner: Member; member: Member } {
  const [owner, member] = [setting.join(), setting.join()]
  const made = setting.ask({ type: 'create_network', node_id: 0, name: 'lab', join_rule: 'open', token: '', ...ADMIN })
  assert.deepEqual(made, { type: 'create_network_ok', network_id: 1, name: 'lab', enterprise: false })
  for (const { id, identity } of [owner, member])
    assert.equal(
      setting.askAs({ id, identity }, challenges.joinNetwork(id, 1), {
        type: 'join_network',
        node_id: id,
        network_id: 1,
      })['type'],
      'join_network_ok',
    )
  return { owner, member }
}

const error = (text: string): Reply => ({ type: 'error', error: text })

test('pilotctl creates a network for the admin alone, and no rules are promised that nothing keeps', () => {
  const setting = new Setting({ adminToken: ADMIN.admin_token })
  network(setting)
  const rules = { type: 'create_network', node_id: 0, name: 'managed', rules: '{"links":3}', ...ADMIN }
  assert.match(String(setting.ask(rules)['error']), /^cannot create a managed network/)
})

test('tags of a member are set by those who manage the network, listed, asked for, and kept', () => {
  const setting = new Setting({ adminToken: ADMIN.admin_token })
  const { owner, member } = network(setting)
  const set = { type: 'set_member_tags', network_id: 1, target_node_id: member.id, tags: ['#gpu', 'gpu', 'eu'] }
  assert.deepEqual(setting.ask(set), error('rbac: node_id required for role-based authorization'))
  assert.deepEqual(
    setting.askAs(owner, challenges.byRole('set_member_tags', owner.id, 1, member.id), { ...set, node_id: owner.id }),
    REFUSED, // a member without a role
  )
  const tags = ['gpu', 'eu']
  const done = { type: 'set_member_tags_ok', network_id: 1, target_node_id: member.id, tags }
  assert.deepEqual(setting.ask({ ...set, ...ADMIN }), done)
  assert.deepEqual(setting.ask({ ...set, ...ADMIN, tags: ['NOT a tag'] }), REFUSED)
  assert.deepEqual(setting.ask({ ...set, ...ADMIN, target_node_id: 77 }), error('node 77 is not a member of network 1'))
  setting.restart()
  const get = { type: 'get_member_tags', network_id: 1 }
  assert.deepEqual(setting.ask({ ...get, target_node_id: member.id })['tags'], tags)
  assert.deepEqual(setting.ask({ ...get, target_node_id: owner.id })['tags'], [])
  assert.deepEqual(setting.ask(get)['members'], [{ node_id: member.id, tags }])
  const nodes = setting.ask({ type: 'list_nodes', network_id: 1 })['nodes'] as Reply[]
  assert.deepEqual(
    nodes.map((node) => node['member_tags']),
    [undefined, tags],
  )
})

test('a policy is kept as text for daemons, and only if it is a JSON object', () => {
  const setting = new Setting({ adminToken: ADMIN.admin_token })
  network(setting)
  const policy = '{"version":1,"rules":[]}'
  const set = { type: 'set_expr_policy', network_id: 1, expr_policy: policy }
  const get = (): unknown => setting.ask({ type: 'get_expr_policy', network_id: 1 })['expr_policy']
  assert.equal(get(), '')
  assert.deepEqual(setting.ask(set), error('rbac: node_id required for role-based authorization'))
  assert.deepEqual(setting.ask({ ...set, ...ADMIN }), { type: 'set_expr_policy_ok', network_id: 1 })
  for (const wrong of ['[]', 'x', '"{}"'])
    assert.deepEqual(
      setting.ask({ ...set, ...ADMIN, expr_policy: wrong }),
      error('invalid expr_policy: a JSON object is required'),
    )
  assert.match(
    String(setting.ask({ ...set, ...ADMIN, expr_policy: `{"a":"${'x'.repeat(20_000)}"}` })['error']),
    /too long/,
  )
  setting.restart()
  assert.equal(get(), policy)
  assert.deepEqual(setting.ask({ type: 'get_expr_policy', network_id: 2 }), error('network 2: network not found'))
})

test('badges and recovery are refused with the reason, since nothing here could check them', () => {
  const setting = new Setting()
  const node = setting.join()
  const badge = { type: 'submit_badge', node_id: node.id, badge: 'x', badge_sig: 'y' }
  assert.match(
    String(setting.askAs(node, challenges.submitBadge(node.id, 'x'), badge)['error']),
    /^cannot check badges/,
  )
  for (const type of ['enroll_recovery', 'recover_identity'])
    assert.match(String(setting.ask({ type, node_id: node.id })['error']), /^cannot recover ids/)
})

test('strict directory: who may not know a private node gets the answer for none at all', () => {
  const setting = new Setting({ adminToken: ADMIN.admin_token, strict: new Set(['directory']) })
  const { owner, member } = network(setting)
  const stranger = setting.join()
  const lookup = { type: 'lookup', node_id: member.id }
  assert.deepEqual(setting.ask(lookup), error(`node ${member.id}: node not found`))
  const asking = (who: Member): Reply =>
    setting.askAs(who, challenges.lookup(who.id, member.id), { ...lookup, requester_id: who.id })
  assert.deepEqual(asking(stranger), error(`node ${member.id}: node not found`))
  assert.equal(asking(owner)['type'], 'lookup_ok')
  setting.publish(member)
  assert.equal(setting.ask(lookup)['type'], 'lookup_ok')
  const list = { type: 'list_nodes', network_id: 1 }
  assert.deepEqual(setting.ask(list), error('network 1: network not found'))
  const listing = (who: Member): unknown =>
    setting.askAs(who, challenges.byRole('list_nodes', who.id, 1), { ...list, requester_id: who.id })['type']
  assert.deepEqual([listing(stranger), listing(owner)], ['error', 'list_nodes_ok'])
  assert.equal(setting.ask({ ...list, ...ADMIN })['type'], 'list_nodes_ok')
})

test('strict heartbeats name the time', () => {
  const setting = new Setting({ strict: new Set(['heartbeats']) })
  const node = setting.join()
  const heartbeat = { type: 'heartbeat', node_id: node.id }
  assert.deepEqual(setting.askAs(node, challenges.heartbeat(node.id), heartbeat), error('ts required'))
  const ts = Math.floor(setting.now / 1000)
  assert.equal(setting.askAs(node, challenges.heartbeatAt(node.id, ts), { ...heartbeat, ts })['type'], 'heartbeat_ok')
})
