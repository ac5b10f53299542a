/**
 * Networks where ours is stricter than the reference, and which state survives a restart. The rest is compared with
 * recordings and with the Go registry itself.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { challenges } from '../../../../src/wire/registry-messages.ts'
import { DEFAULT_RATE_LIMITS } from '../../../../src/server/registry/rate-limiter.ts'
import type { Member, Reply } from './setting.ts'
import { REFUSED, Setting } from './setting.ts'

const ADMIN = { admin_token: 'a token of some length' }
const WITH_ADMIN = { adminToken: ADMIN.admin_token }

test('without a configured token nothing can be administered, whatever token is sent', () => {
  const setting = new Setting()
  const member = setting.join()
  for (const admin_token of ['', 'undefined', ADMIN.admin_token]) {
    assert.deepEqual(setting.ask({ type: 'create_network', node_id: member.id, name: 'lab', admin_token }), REFUSED)
    assert.deepEqual(setting.ask({ type: 'list_nodes', network_id: 0, admin_token }), REFUSED)
    assert.deepEqual(setting.ask({ type: 'get_audit_log', admin_token }), REFUSED)
  }
  assert.equal(
    [...setting.disk.keys()].filter((key) => key.startsWith('audit/')).length,
    0,
    'and nothing is recorded for an absent reader',
  )
})

test("a role counts only with its holder's signature over exactly this request", () => {
  const setting = new Setting(WITH_ADMIN)
  const [owner, member] = [setting.join(), setting.join()]
  create(setting, owner, 'firm', { enterprise: true })
  join(setting, member, 1)
  const promote = { type: 'promote_member', network_id: 1, node_id: owner.id, target_node_id: member.id }
  assert.equal(setting.ask(promote)['error'], 'signature required for authenticated node')
  for (const text of [
    challenges.heartbeat(owner.id),
    challenges.byRole('promote_member', owner.id, 1),
    challenges.byRole('kick_member', owner.id, 1, member.id),
    challenges.byRole('promote_member', owner.id, 2, member.id),
  ]) {
    assert.deepEqual(setting.askAs(owner, text, promote), REFUSED)
  }
  assert.deepEqual(setting.askAs(member, challenges.byRole('promote_member', owner.id, 1, member.id), promote), REFUSED)
  assert.equal(
    setting.askAs(owner, challenges.byRole('promote_member', owner.id, 1, member.id), promote)['role'],
    'admin',
  )
  const rename = { type: 'rename_network', network_id: 1, node_id: member.id, name: 'company' }
  assert.equal(setting.askAs(member, challenges.byRole('rename_network', member.id, 1), rename)['name'], 'company')
})

test('unsigned-roles believes the claimed id, as the reference does', () => {
  const setting = new Setting({ ...WITH_ADMIN, compat: new Set(['unsigned-roles']) })
  const owner = setting.join()
  create(setting, owner, 'lab')
  assert.equal(setting.ask({ type: 'delete_network', network_id: 1, node_id: owner.id })['type'], 'delete_network_ok')
})

test('networks, members in their order, roles, policies, invitations, expiry and the audit log survive a restart; ids are never reused', () => {
  const setting = new Setting(WITH_ADMIN)
  const [owner, second, third] = [setting.join(), setting.join(), setting.join()]
  create(setting, owner, 'gone')
  setting.ask({ type: 'delete_network', network_id: 1, ...ADMIN })
  create(setting, owner, 'club', { enterprise: true, join_rule: 'invite' })
  create(setting, third, 'gated', { join_rule: 'token', token: 'sesame', network_admin_token: 'the key of gated' })
  join(setting, owner, 3, 'sesame')
  join(setting, second, 3, 'sesame')
  setting.ask({
    type: 'set_network_policy',
    network_id: 2,
    max_members: 7,
    allowed_ports: [80],
    description: 'about',
    ...ADMIN,
  })
  invite(setting, owner, 2, second)
  setting.ask({ type: 'set_key_expiry', node_id: owner.id, expires_at: '2028-01-01T00:00:00Z', ...ADMIN })
  setting.ask({ type: 'set_external_id', node_id: owner.id, external_id: 'anna@idp', ...ADMIN })
  const questions = [
    { type: 'list_networks' },
    { type: 'list_nodes', network_id: 2 },
    { type: 'list_nodes', network_id: 3 },
    { type: 'get_network_policy', network_id: 2 },
    { type: 'get_member_role', network_id: 3, target_node_id: third.id },
    { type: 'get_key_info', node_id: owner.id },
    { type: 'lookup', node_id: owner.id },
    { type: 'get_audit_log', limit: 1000, ...ADMIN },
    { type: 'get_identity', node_id: owner.id, ...ADMIN },
  ]
  const before = questions.map((question) => setting.ask(question))
  setting.restart()
  assert.equal(setting.registry.skippedRecords, 0)
  assert.deepEqual(
    questions.map((question) => setting.ask(question)),
    before,
  )
  assert.equal(poll(setting, second).length, 1)
  assert.equal(create(setting, owner, 'next')['network_id'], 4)
  setting.ask({ type: 'delete_network', network_id: 4, ...ADMIN })
  setting.restart()
  assert.equal(create(setting, owner, 'after')['network_id'], 5, 'not even the last id is reused')
  assert.ok(
    ![...setting.disk.values()].some((text) => text.includes('sesame') || text.includes('the key of gated')),
    'tokens are not on disk',
  )
  assert.equal(
    setting.ask({ type: 'rename_network', network_id: 3, name: 'renamed', admin_token: 'the key of gated' })['name'],
    'renamed',
  )
})

test('a shared network allows resolve, check_trust and signed names for as long as it lasts', () => {
  const setting = new Setting(WITH_ADMIN)
  const [a, b] = [setting.join({ hostname: 'anna' }), setting.join()]
  create(setting, a, 'lab')
  assert.deepEqual(setting.resolve(b, a), REFUSED)
  join(setting, b, 1)
  assert.equal(setting.resolve(b, a)['type'], 'resolve_ok')
  assert.equal(setting.resolve(a, a)['type'], 'resolve_ok', 'a member may resolve itself')
  assert.equal(setting.trusted(a, b), true)
  const lookup = { type: 'lookup', node_id: a.id, requester_id: b.id }
  assert.equal(setting.ask(lookup)['hostname'], undefined, 'an id alone proves nothing')
  assert.equal(setting.askAs(b, challenges.lookup(b.id, a.id), lookup)['hostname'], 'anna')
  setting.askAs(b, challenges.leaveNetwork(b.id, 1), { type: 'leave_network', node_id: b.id, network_id: 1 })
  assert.deepEqual(setting.resolve(b, a), REFUSED)
  assert.equal(setting.trusted(a, b), false)
})

test('a reaped member stays a member and is listed as offline; one that deregistered is not', () => {
  const setting = new Setting(WITH_ADMIN)
  const [a, b] = [setting.join(), setting.join()]
  create(setting, a, 'lab')
  join(setting, b, 1)
  setting.now += 181_000
  setting.heartbeat(a)
  setting.ask(setting.registration(a.identity))
  setting.registry.sweep(setting.now)
  const { nodes } = setting.ask({ type: 'list_nodes', network_id: 1 }) as { nodes: Reply[] }
  assert.deepEqual(nodes[1], { node_id: b.id, address: '1:0001.0000.0002', offline: true, role: 'member' })
  setting.ask(setting.registration(b.identity))
  assert.deepEqual(setting.ask({ type: 'lookup', node_id: b.id })['networks'], [0, 1])
  setting.askAs(b, challenges.deregister(b.id), { type: 'deregister', node_id: b.id })
  setting.ask(setting.registration(b.identity))
  assert.deepEqual(setting.ask({ type: 'lookup', node_id: b.id })['networks'], [0])
})

test('an invitation lives for thirty days, and at most a hundred wait', () => {
  const setting = new Setting(WITH_ADMIN)
  const [owner, guest] = [setting.join(), setting.join()]
  for (let i = 1; i <= 101; i++) create(setting, owner, `club-${i}`, { enterprise: true, join_rule: 'invite' })
  for (let i = 1; i <= 100; i++) assert.equal(invite(setting, owner, i, guest)['type'], 'invite_to_network_ok')
  assert.match(String(invite(setting, owner, 101, guest)['error']), /too many/)
  setting.now += 30 * 86_400_000
  setting.ask(setting.registration(guest.identity))
  assert.equal(poll(setting, guest).length, 100)
  setting.now += 1_000
  assert.equal(poll(setting, guest).length, 0)
  assert.equal(
    [...setting.disk.keys()].some((key) => key.startsWith('invite/')),
    false,
  )
})

test('guesses at a network token are rate-limited, and a correct one beyond the limit fails', () => {
  const setting = new Setting(WITH_ADMIN)
  const [owner, guest] = [setting.join(), setting.join()]
  create(setting, owner, 'gated', { join_rule: 'token', token: 'sesame' })
  for (let i = 0; i < DEFAULT_RATE_LIMITS.join_token; i++)
    assert.match(String(join(setting, guest, 1, `guess ${i}`)['error']), /^invalid token/)
  assert.match(String(join(setting, guest, 1, 'sesame')['error']), /^rate limited/)
  setting.now += 60_000
  assert.equal(join(setting, guest, 1, 'sesame')['type'], 'join_network_ok')
})

test('a list stays readable for a client that accepts 64 KiB', () => {
  const setting = new Setting({ ...WITH_ADMIN, limits: { ...DEFAULT_RATE_LIMITS, register: 10_000 } })
  const owner = setting.join()
  create(setting, owner, 'crowd')
  const ids = Array.from({ length: 900 }, () => setting.ask({ type: 'register', public_key: key() })['node_id'])
  for (const id of ids) setting.ask({ type: 'join_network', node_id: id, network_id: 1, ...ADMIN })
  const reply = setting.ask({ type: 'list_nodes', network_id: 1 })
  assert.ok(Buffer.byteLength(JSON.stringify(reply)) < 65_536)
  assert.ok((reply['nodes'] as object[]).length > 300)
  function key(): string {
    keys++
    return Buffer.from(Uint8Array.from({ length: 32 }, (_, i) => (i < 4 ? (keys >> (8 * i)) & 0xff : 9))).toString(
      'base64',
    )
  }
})

test('an expired key no longer heartbeats or resolves, and the warning comes a day before', () => {
  const setting = new Setting(WITH_ADMIN)
  const [node, other] = [setting.join(), setting.join()]
  setting.publish(other)
  create(setting, node, 'firm', { enterprise: true })
  const at = new Date(setting.now + 25 * 3_600_000).toISOString()
  setting.askAs(node, challenges.setKeyExpiry(node.id), { type: 'set_key_expiry', node_id: node.id, expires_at: at })
  assert.equal(setting.heartbeat(node)['key_expiry_warning'], undefined)
  setting.now += 2 * 3_600_000
  assert.equal(setting.heartbeat(node)['key_expiry_warning'], true)
  setting.now += 23 * 3_600_000
  assert.match(String(setting.heartbeat(node)['error']), /key expired at/)
  assert.deepEqual(setting.resolve(node, other), REFUSED)
})

let keys = 0

function create(setting: Setting, owner: Member, name: string, fields: object = {}): Reply {
  return setting.ask({ type: 'create_network', node_id: owner.id, name, ...ADMIN, ...fields })
}

function join(setting: Setting, member: Member, network: number, token = ''): Reply {
  return setting.askAs(member, challenges.joinNetwork(member.id, network), {
    type: 'join_network',
    node_id: member.id,
    network_id: network,
    token,
  })
}

function invite(setting: Setting, by: Member, network: number, target: Member): Reply {
  return setting.askAs(by, challenges.inviteToNetwork(by.id, network, target.id), {
    type: 'invite_to_network',
    inviter_id: by.id,
    network_id: network,
    target_node_id: target.id,
  })
}

function poll(setting: Setting, member: Member): readonly unknown[] {
  return setting.askAs(member, challenges.pollInvites(member.id), { type: 'poll_invites', node_id: member.id })[
    'invites'
  ] as unknown[]
}
