/**
 * One long conversation with a registry: every request type, good and bad, in an order in which each finds the state
 * it needs. Sent to two registries that both start empty, it must give the same replies: node and network ids count
 * up from 1 in both. `as` signs `challenge` with that node's key; `unsigned` requests show what is open.
 */
import type { Identity } from '../../src/crypto/identity.ts'
import { toBase64, utf8 } from '../../src/base/bytes.ts'
import { createIdentity } from '../../src/crypto/identity.ts'

export interface Step {
  readonly name: string
  readonly request: Readonly<Record<string, unknown>>
  readonly source: string // loopback address it comes from: registrations are rationed by source
}

/** Network ids, in the order in which the conversation creates them; the fifth appears only in lists. */
const [PLAIN, WEIRD, GATED, CLUB, FIRM] = [2, 3, 4, 6, 7]

export const ADMIN_TOKEN = 'a-token-for-this-test-only'

type Request = Record<string, unknown>

const admin = { admin_token: ADMIN_TOKEN }

export function conversation(): Step[] {
  return [
    ...registrations(),
    ...attributes(),
    ...scores(),
    ...trust(),
    ...handshakes(),
    ...openNetworks(),
    ...enterprise(),
    ...roles(),
    ...policies(),
    ...expiry(),
    ...administration(),
    ...beacons(),
    ...keys(),
    ...endings(),
  ]
}

function registrations(): Step[] {
  const register = (number: number, fields: Request = {}): Request => ({
    type: 'register',
    listen_addr: `127.0.0.1:${4000 + number}`,
    public_key: key(number),
    owner: `node${number}@example.com`,
    ...fields,
  })
  return [
    ...[1, 2, 3, 4, 5, 6, 7, 8].map((number) => step(`register ${number}`, register(number))),
    step('register again, elsewhere', register(1, { listen_addr: '127.0.0.1:4801' })),
    step('register with LAN addresses', register(2, { lan_addrs: ['192.168.7.2:4002', '10.0.0.2:4002'] })),
    step('register with an IPv6 listen address', register(3, { listen_addr: '[::]:4003' })),
    step('register with a hostname', register(4, { hostname: 'dora' })),
    step('register with a bad hostname', register(5, { hostname: 'Not A Name' })),
    step('register with a taken hostname', register(6, { hostname: 'dora' })),
    step('register without a key', { type: 'register', listen_addr: '127.0.0.1:4001' }, '127.0.0.2'),
    step('register with a key that is not base64', register(1, { public_key: '***' }), '127.0.0.2'),
    step('register with a short key', register(1, { public_key: 'AAAA' }), '127.0.0.2'),
    step('register with a key that is a number', register(1, { public_key: 17 }), '127.0.0.2'),
    step('lookup', { type: 'lookup', node_id: 1 }),
    step('lookup of a text', { type: 'lookup', node_id: '1' }),
    step('lookup of a fraction', { type: 'lookup', node_id: 1.9 }),
    step('lookup of a negative number', { type: 'lookup', node_id: -1 }),
    step('lookup of a large number', { type: 'lookup', node_id: 4_294_967_297 }),
    step('lookup of nobody', { type: 'lookup', node_id: 4711 }),
    step('unknown type', { type: 'no_such_request' }),
    step('no type', { node_id: 1 }),
    step('heartbeat', signed(1, 'heartbeat:1', { type: 'heartbeat', node_id: 1 })),
    step('heartbeat unsigned', { type: 'heartbeat', node_id: 1 }),
    step("heartbeat with a stranger's signature", signed(2, 'heartbeat:1', { type: 'heartbeat', node_id: 1 })),
    step('heartbeat with a signature that is not base64', { type: 'heartbeat', node_id: 1, signature: '%%%' }),
    step('heartbeat with a short signature', { type: 'heartbeat', node_id: 1, signature: 'AAAA' }),
    step('heartbeat of nobody', signed(1, 'heartbeat:4711', { type: 'heartbeat', node_id: 4711 })),
    step('heartbeat with the admin token', { type: 'heartbeat', node_id: 1, ...admin }),
  ]
}

function attributes(): Step[] {
  const set = (node: number, type: string, fields: Request): Request =>
    signed(node, `${type}:${node}`, { type, node_id: node, ...fields })
  const tags = (list: unknown): Request => set(1, 'set_tags', { tags: list })
  const hostname = (text: unknown, node = 1): Request => set(node, 'set_hostname', { hostname: text })
  const visible = (node: number, on: unknown): Request => set(node, 'set_visibility', { public: on })
  return [
    step('public', visible(2, true)),
    step('public lookup', { type: 'lookup', node_id: 2 }),
    step('public given as text', visible(3, 'true')),
    step('visibility unsigned', { type: 'set_visibility', node_id: 3, public: true }),
    step('visibility by the admin', { type: 'set_visibility', node_id: 3, public: true, ...admin }),
    step('visibility by a wrong admin', { type: 'set_visibility', node_id: 3, public: false, admin_token: 'wrong' }),
    step('visibility of nobody', set(4711, 'set_visibility', { public: true })),
    step('private again', visible(3, false)),
    step('hostname', hostname('anna')),
    step('the same hostname again', hostname('anna')),
    step('a malformed hostname', hostname('Anna!')),
    step('a reserved hostname', hostname('localhost')),
    step('a hostname that is too long', hostname('a'.repeat(64))),
    step('a hostname with a hyphen at the end', hostname('a-')),
    step('a hostname of one character', hostname('q')),
    step('a hostname cleared', hostname('')),
    step('cleared again', hostname('')),
    step('a hostname unsigned', { type: 'set_hostname', node_id: 1, hostname: 'anna' }),
    step('a hostname by the admin', { type: 'set_hostname', node_id: 1, hostname: 'anna', ...admin }),
    step('a public hostname', hostname('bob', 2)),
    step('find a public hostname', { type: 'resolve_hostname', hostname: 'bob' }),
    step('find an unknown hostname', { type: 'resolve_hostname', hostname: 'nobody' }),
    step('find a private hostname', { type: 'resolve_hostname', hostname: 'anna' }),
    step('find a private hostname as a stranger', { type: 'resolve_hostname', hostname: 'anna', requester_id: 5 }),
    step('find no hostname', { type: 'resolve_hostname' }),
    step('tags', tags(['web', '#ml', 'web'])),
    step('no tags', tags([])),
    step('tags that are not a list', tags('web')),
    step('tags with a number in it', tags(['web', 5])),
    step('a malformed tag', tags(['Web Server'])),
    step('an empty tag', tags([''])),
    step('a tag that is too long', tags(['a'.repeat(33)])),
    step('too many tags', tags(Array.from({ length: 11 }, (_, i) => `t${i}`))),
    step('tags unsigned', { type: 'set_tags', node_id: 1, tags: ['web'] }),
    step('tags once more', tags(['web', 'gpu'])),
    step('task execution', set(1, 'set_task_exec', { enabled: true })),
    step('task execution unsigned', { type: 'set_task_exec', node_id: 1, enabled: true }),
    step('lookup shows it all', { type: 'lookup', node_id: 1 }),
    step('resolve a public node', resolve(1, 2)),
    step('resolve a private node', resolve(2, 1)),
    step('resolve oneself', resolve(1, 1)),
    step('resolve unsigned', { type: 'resolve', node_id: 2, requester_id: 1 }),
    step("resolve with a stranger's signature", { ...resolve(1, 2), requester_id: 5 }),
    step('resolve as nobody', { ...resolve(1, 2), requester_id: 4711 }),
    step('resolve nobody', resolve(1, 4711)),
    step('punch a public node', punch(1, 1, 2)),
    step('punch by a third', punch(5, 1, 2)),
    step('punch unsigned', { type: 'punch', requester_id: 1, node_a: 1, node_b: 2 }),
    step('punch nobody', punch(1, 1, 4711)),
  ]
}

function scores(): Step[] {
  return [
    step('score', { type: 'get_polo_score', node_id: 1 }),
    step('score of nobody', { type: 'get_polo_score', node_id: 4711 }),
    step('score up', { type: 'update_polo_score', node_id: 1, delta: 5 }),
    step('score down', { type: 'update_polo_score', node_id: 1, delta: -12 }),
    step('score by too much', { type: 'update_polo_score', node_id: 1, delta: 1_000_001 }),
    step('score by a fraction', { type: 'update_polo_score', node_id: 1, delta: 1.5 }),
    step('score of nobody up', { type: 'update_polo_score', node_id: 4711, delta: 1 }),
    step('score set', { type: 'set_polo_score', node_id: 1, polo_score: 999_999 }),
    step('score to the limit', { type: 'update_polo_score', node_id: 1, delta: 100 }),
    step('score set too high', { type: 'set_polo_score', node_id: 1, polo_score: 2_000_000 }),
    step('score set too low', { type: 'set_polo_score', node_id: 1, polo_score: -2_000_000 }),
    step('score set of nobody', { type: 'set_polo_score', node_id: 4711, polo_score: 1 }),
    step('score as text', { type: 'set_polo_score', node_id: 1, polo_score: '12' }),
    step('score in lookup', { type: 'lookup', node_id: 1 }),
    step('score set back', { type: 'set_polo_score', node_id: 1, polo_score: 0 }),
  ]
}

function trust(): Step[] {
  const report = (node: number, peer: number): Request =>
    signed(node, `report_trust:${node}:${peer}`, { type: 'report_trust', node_id: node, peer_id: peer })
  const revoke = (node: number, peer: number): Request =>
    signed(node, `revoke_trust:${node}:${peer}`, { type: 'revoke_trust', node_id: node, peer_id: peer })
  const check = (node: number, peer: number): Request => ({ type: 'check_trust', node_id: node, peer_id: peer })
  return [
    step('trust before', check(1, 5)),
    step('report', report(1, 5)),
    step('report from the other side', report(5, 1)),
    step('report again', report(1, 5)),
    step('trust', check(1, 5)),
    step('trust in the other order', check(5, 1)),
    step('resolve a trusted node', resolve(1, 5)),
    step('report of nobody', report(1, 4711)),
    step('report unsigned', { type: 'report_trust', node_id: 1, peer_id: 6 }),
    step('report by a stranger', { ...report(2, 5), node_id: 1 }),
    step('trust of nobody', check(1, 4711)),
    step('revoke unsigned', { type: 'revoke_trust', node_id: 1, peer_id: 5 }),
    step('revoke', revoke(5, 1)),
    step('revoke again', revoke(5, 1)),
    step('trust after', check(1, 5)),
    step('resolve after', resolve(1, 5)),
  ]
}

function handshakes(): Step[] {
  const request = (from: number, to: number, justification = 'hello'): Request =>
    signed(from, `handshake:${from}:${to}`, {
      type: 'request_handshake',
      from_node_id: from,
      to_node_id: to,
      justification,
    })
  const respond = (node: number, peer: number, accept: boolean): Request =>
    signed(node, `respond:${node}:${peer}`, { type: 'respond_handshake', node_id: node, peer_id: peer, accept })
  const poll = (node: number): Request =>
    signed(node, `poll_handshakes:${node}`, { type: 'poll_handshakes', node_id: node })
  return [
    step('poll an empty box', poll(6)),
    step('poll unsigned', { type: 'poll_handshakes', node_id: 6 }),
    step('poll of nobody', { ...poll(6), node_id: 4711 }),
    step('ask', request(1, 6)),
    step('ask again', request(1, 6)),
    step('ask nobody', request(1, 4711)),
    step('ask as nobody', request(4711, 6)),
    step('ask unsigned', { type: 'request_handshake', from_node_id: 2, to_node_id: 6, justification: '' }),
    step("ask with a stranger's signature", { ...request(2, 6), from_node_id: 3 }),
    step('poll', poll(6)),
    step('poll again', poll(6)),
    step('accept', respond(6, 1, true)),
    step('trust by accept', { type: 'check_trust', node_id: 1, peer_id: 6 }),
    step('accept unsigned', { type: 'respond_handshake', node_id: 6, peer_id: 1, accept: true }),
    step('accept nobody', respond(6, 4711, true)),
    step('poll the answer', poll(1)),
    step('poll the answer again', poll(1)),
    step('ask another', request(2, 6, '')),
    step('poll another', poll(6)),
    step('reject', respond(6, 2, false)),
    step('poll the rejection', poll(2)),
    step('no trust by rejection', { type: 'check_trust', node_id: 2, peer_id: 6 }),
  ]
}

function openNetworks(): Step[] {
  const create = (name: unknown, fields: Request = {}): Request => ({
    type: 'create_network',
    node_id: 1,
    name,
    join_rule: 'open',
    token: '',
    ...admin,
    ...fields,
  })
  return [
    step('networks', { type: 'list_networks' }),
    step('create without token', { ...create('lab'), admin_token: '' }),
    step('create with a wrong token', { ...create('lab'), admin_token: 'wrong' }),
    step('create', create('lab')),
    step('create it again', create('lab')),
    step('create without name', create('')),
    step('create a malformed name', create('Lab!')),
    step('create a name that is too long', create('n'.repeat(64))),
    step('create the backbone', create('backbone')),
    step('create without rule', create('plain', { join_rule: '' })),
    step('create with an unknown rule', create('weird', { join_rule: 'magic' })),
    step('create by nobody', create('ghosts', { node_id: 4711 })),
    step('create by node 0', create('zero', { node_id: 0 })),
    step('create with a token', create('gated', { join_rule: 'token', token: 'sesame' })),
    step('create with the rule token and none', create('gated2', { join_rule: 'token' })),
    step('create by invitation, not enterprise', create('club', { join_rule: 'invite' })),
    step('networks now', { type: 'list_networks' }),
    step('join', join(2, 1)),
    step('join again', join(2, 1)),
    step('join unsigned', { type: 'join_network', node_id: 3, network_id: 1 }),
    step('join by the admin', { type: 'join_network', node_id: 3, network_id: 1, ...admin }),
    step("join with a stranger's signature", { ...join(2, 1), node_id: 4 }),
    step('join nothing', join(2, 77)),
    step('join the backbone', join(2, 0)),
    step('join of nobody', join(4711, 1)),
    step('join with a wrong token', join(2, GATED, { token: 'open' })),
    step('join by an unknown rule', join(2, WEIRD)),
    step('join without the token', join(2, GATED)),
    step('join with the token', join(2, GATED, { token: 'sesame' })),
    step('nodes of the network', { type: 'list_nodes', network_id: 1 }),
    step('nodes of nothing', { type: 'list_nodes', network_id: 77 }),
    step('nodes of the backbone', { type: 'list_nodes', network_id: 0 }),
    step('nodes of the backbone for the admin', { type: 'list_nodes', network_id: 0, ...admin }),
    step('members trust each other', { type: 'check_trust', node_id: 1, peer_id: 3 }),
    step('members resolve each other', resolve(1, 3)),
    step('networks of a member', { type: 'lookup', node_id: 2 }),
    step('punch within a network', punch(3, 1, 3)),
    step('rename by a member', rename(2, 1, 'lab-two')),
    step('rename by nobody', { type: 'rename_network', network_id: 1, name: 'lab-two' }),
    step('rename by the owner', rename(1, 1, 'lab-two')),
    step('rename to a taken name', rename(1, 1, 'gated')),
    step('rename to its own name', rename(1, 1, 'lab-two')),
    step('rename to a bad name', rename(1, 1, 'LAB')),
    step('rename to nothing', rename(1, 1, '')),
    step('rename the backbone', rename(1, 0, 'spine')),
    step('rename nothing', rename(1, 77, 'seventy')),
    step('rename by the admin', { type: 'rename_network', network_id: 1, name: 'lab-three', ...admin }),
    step('role in an open network', role(1, 2)),
    step('role of the owner', role(1, 1)),
    step('role of a stranger', role(1, 7)),
    step('role in nothing', role(77, 1)),
    step('join nothing unsigned', { type: 'join_network', node_id: 2, network_id: 77 }),
    step('leave nothing unsigned', { type: 'leave_network', node_id: 2, network_id: 77 }),
    step('leave of nobody', { type: 'leave_network', node_id: 4711, network_id: 77 }),
    step('join the backbone unsigned', { type: 'join_network', node_id: 2, network_id: 0 }),
    step('leave unsigned', { type: 'leave_network', node_id: 2, network_id: 1 }),
    step('leave', leave(2, 1)),
    step('leave again', leave(2, 1)),
    step('leave nothing', leave(2, 77)),
    step('leave the backbone', leave(2, 0)),
    step('the owner leaves an open network', leave(1, PLAIN)),
    step('nodes of an empty network', { type: 'list_nodes', network_id: PLAIN }),
    step('delete by a member', remove(3, 1)),
    step('delete the backbone', remove(1, 0)),
    step('delete nothing', remove(1, 77)),
    step('delete by the owner', remove(1, 1)),
    step('delete it again', remove(1, 1)),
    step('delete by the admin', { type: 'delete_network', network_id: PLAIN, ...admin }),
    step('networks after', { type: 'list_networks' }),
    step('lookup after', { type: 'lookup', node_id: 3 }),
  ]
}

function enterprise(): Step[] {
  const create = (name: string, fields: Request = {}): Request => ({
    type: 'create_network',
    node_id: 1,
    name,
    join_rule: 'invite',
    token: '',
    enterprise: true,
    ...admin,
    ...fields,
  })
  const poll = (node: number): Request => signed(node, `poll_invites:${node}`, { type: 'poll_invites', node_id: node })
  return [
    step('create by invitation', create('club')),
    step('create with its own token', create('firm', { join_rule: 'open', network_admin_token: 'firm-token' })),
    step('join by invitation only', join(2, CLUB)),
    step('invite to an open network', invite(1, GATED, 2)),
    step('invite to an enterprise network that is open', invite(1, FIRM, 2)),
    step('invite', invite(1, CLUB, 2)),
    step('invite again', invite(1, CLUB, 2)),
    step('invite oneself', invite(1, CLUB, 1)),
    step('invite nobody', invite(1, CLUB, 4711)),
    step('invite by a stranger', invite(3, CLUB, 5)),
    step('invite unsigned', { type: 'invite_to_network', network_id: CLUB, inviter_id: 1, target_node_id: 5 }),
    step('invite by the admin', {
      type: 'invite_to_network',
      network_id: CLUB,
      inviter_id: 1,
      target_node_id: 3,
      ...admin,
    }),
    step('invite to nothing', invite(1, 77, 2)),
    step('invite as nobody', { ...invite(1, CLUB, 2), inviter_id: 4711 }),
    step('invite with half a signature', { ...invite(1, CLUB, 5), signature: 'AAAA' }),
    step('invite to nothing unsigned', { type: 'invite_to_network', network_id: 77, inviter_id: 1, target_node_id: 2 }),
    step('invite as nobody by the admin', { ...invite(1, CLUB, 2), inviter_id: 4711, ...admin }),
    step('answer by the admin', { type: 'respond_invite', network_id: CLUB, node_id: 2, accept: true, ...admin }),
    step('poll by the admin', { type: 'poll_invites', node_id: 2, ...admin }),
    step('invite to the backbone', invite(1, 0, 2)),
    step('poll invitations', poll(2)),
    step('poll them unsigned', { type: 'poll_invites', node_id: 2 }),
    step('poll them of nobody', poll(4711)),
    step('poll no invitations', poll(7)),
    step('accept an invitation', answer(2, CLUB, true)),
    step('accept it again', answer(2, CLUB, true)),
    step('decline', answer(3, CLUB, false)),
    step('answer without invitation', answer(6, CLUB, true)),
    step('answer unsigned', { type: 'respond_invite', node_id: 2, network_id: CLUB, accept: true }),
    step('answer about nothing', answer(2, 77, true)),
    step('poll after the answer', poll(2)),
    step('invite a member', invite(1, CLUB, 2)),
    step('invite by a member', invite(2, CLUB, 5)),
    step('role of a new member', role(CLUB, 2)),
    step('nodes of the club', { type: 'list_nodes', network_id: CLUB }),
    step('the owner leaves', leave(1, CLUB)),
    step('network admin token invites', {
      type: 'invite_to_network',
      network_id: CLUB,
      inviter_id: 1,
      target_node_id: 6,
      admin_token: 'firm-token',
    }),
    step('network admin token renames', {
      type: 'rename_network',
      network_id: FIRM,
      name: 'company',
      admin_token: 'firm-token',
    }),
    step('network admin token of another network', {
      type: 'rename_network',
      network_id: CLUB,
      name: 'clubhouse',
      admin_token: 'firm-token',
    }),
    step('join an enterprise network', join(2, FIRM)),
    step('join it too', join(3, FIRM)),
    step('networks with enterprise', { type: 'list_networks' }),
  ]
}

function roles(): Step[] {
  const act = (type: string, by: number, target: number, network = FIRM): Request =>
    claim(by, type, network, { target_node_id: target }, target)
  return [
    step('promote by a member', act('promote_member', 2, 3)),
    step('promote', act('promote_member', 1, 2)),
    step('promote again', act('promote_member', 1, 2)),
    step('promote nobody by the admin', { type: 'promote_member', network_id: FIRM, ...admin }),
    step('promote in an open network as a stranger', act('promote_member', 7, 2, GATED)),
    step('hand over to node 0', transfer(1, FIRM, 0)),
    step('enterprise on, no token', { type: 'set_network_enterprise', network_id: GATED, enterprise: true }),
    step('promote the owner', act('promote_member', 1, 1)),
    step('promote a stranger', act('promote_member', 1, 7)),
    step('promote in nothing', act('promote_member', 1, 2, 77)),
    step('promote in an open network', act('promote_member', 1, 2, GATED)),
    step('promote by an admin', act('promote_member', 2, 3)),
    step('role of an admin', role(FIRM, 2)),
    step('rename by an admin', rename(2, FIRM, 'corp')),
    step('delete by an admin', remove(2, FIRM)),
    step('demote', act('demote_member', 1, 2)),
    step('demote again', act('demote_member', 1, 2)),
    step('demote the owner', act('demote_member', 1, 1)),
    step('demote a stranger', act('demote_member', 1, 7)),
    step('kick by a member', act('kick_member', 2, 3)),
    step('kick the owner', act('kick_member', 1, 1)),
    step('kick', act('kick_member', 1, 3)),
    step('kick again', act('kick_member', 1, 3)),
    step('kick in an open network', act('kick_member', 1, 2, GATED)),
    step('kick by the admin token', { type: 'kick_member', network_id: FIRM, target_node_id: 7, ...admin }),
    step('hand over to a stranger', transfer(1, FIRM, 7)),
    step('hand over to oneself', transfer(1, FIRM, 1)),
    step('hand over by a member', transfer(2, FIRM, 2)),
    step('hand over', transfer(1, FIRM, 2)),
    step('role of the old owner', role(FIRM, 1)),
    step('role of the new owner', role(FIRM, 2)),
    step('hand over an open network', transfer(1, GATED, 2)),
    step('nodes with roles', { type: 'list_nodes', network_id: FIRM }),
    step('enterprise off, no token', { type: 'set_network_enterprise', network_id: FIRM, enterprise: false }),
    step('enterprise off', { type: 'set_network_enterprise', network_id: FIRM, enterprise: false, ...admin }),
    step('role without enterprise', role(FIRM, 2)),
    step('nodes without enterprise', { type: 'list_nodes', network_id: FIRM }),
    step('enterprise on', { type: 'set_network_enterprise', network_id: FIRM, enterprise: true, ...admin }),
    step('role with enterprise', role(FIRM, 1)),
    step('second role with enterprise', role(FIRM, 2)),
    step('enterprise of nothing', { type: 'set_network_enterprise', network_id: 77, enterprise: true, ...admin }),
    step('enterprise of the backbone', { type: 'set_network_enterprise', network_id: 0, enterprise: true, ...admin }),
  ]
}

function policies(): Step[] {
  const policy = (by: number, fields: Request, network = FIRM): Request =>
    claim(by, 'set_network_policy', network, fields)
  return [
    step('policy of an open network', { type: 'get_network_policy', network_id: GATED }),
    step('policy before', { type: 'get_network_policy', network_id: FIRM }),
    step('policy of nothing', { type: 'get_network_policy', network_id: 77 }),
    step('policy in an open network', policy(1, { max_members: 5 }, GATED)),
    step('policy by a member', policy(2, { max_members: 5 })),
    step('policy of members', policy(1, { max_members: 2 })),
    step('policy of ports', policy(1, { allowed_ports: [80, 443, 80] })),
    step('policy of words', policy(1, { description: 'about us' })),
    step('policy after', { type: 'get_network_policy', network_id: FIRM }),
    step('policy of too many members', policy(1, { max_members: 10_001 })),
    step('policy of negative members', policy(1, { max_members: -1 })),
    step('policy of fewer members than there are', policy(1, { max_members: 1 })),
    step('policy of members in words', policy(1, { max_members: '3' })),
    step('policy of half a member', policy(1, { max_members: 1.5 })),
    step('policy of ports in words', policy(1, { allowed_ports: 'x' })),
    step('policy of words that are none', policy(1, { description: 5 })),
    step('policy of the backbone', policy(1, { max_members: 3 }, 0)),
    step('look at the policy of the backbone', { type: 'get_network_policy', network_id: 0 }),
    step('policy by nobody', { type: 'set_network_policy', network_id: FIRM, max_members: 3 }),
    step('policy by a stranger in an open network', policy(7, { max_members: 3 }, GATED)),
    step('role in the backbone', role(0, 1)),
    step('policy of port 0', policy(1, { allowed_ports: [0] })),
    step('policy of port 70000', policy(1, { allowed_ports: [70_000] })),
    step('policy of a port in words', policy(1, { allowed_ports: ['80'] })),
    step('policy of too many ports', policy(1, { allowed_ports: Array.from({ length: 101 }, (_, i) => i + 1) })),
    step('policy of too many words', policy(1, { description: 'x'.repeat(257) })),
    step('policy of nothing new', policy(1, {})),
    step('join a full network', join(3, FIRM)),
    step('policy cleared', policy(1, { max_members: 0, allowed_ports: [], description: '' })),
    step('join with room', join(3, FIRM)),
    step('policy of limits in the list', policy(1, { max_members: 9, description: 'nine' })),
    step('networks with limits', { type: 'list_networks' }),
    step('accept an invitation to a full club, limit', policy(1, { max_members: 2 }, CLUB)),
    step('accept an invitation to a full club, invite', invite(1, CLUB, 7)),
    step('accept an invitation to a full club', answer(7, CLUB, true)),
    step('accept when there is room, limit', policy(1, { max_members: 0 }, CLUB)),
    step('accept when there is room', answer(7, CLUB, true)),
  ]
}

function expiry(): Step[] {
  const expire = (node: number, at: unknown): Request =>
    signed(node, `set_key_expiry:${node}`, { type: 'set_key_expiry', node_id: node, expires_at: at })
  return [
    step('key info', { type: 'get_key_info', node_id: 1 }),
    step('key info of nobody', { type: 'get_key_info', node_id: 4711 }),
    step('expiry outside', expire(8, '2035-01-01T00:00:00Z')),
    step('expiry unsigned', { type: 'set_key_expiry', node_id: 2, expires_at: '2035-01-01T00:00:00Z' }),
    step('expiry in the past', expire(2, '2020-01-01T00:00:00Z')),
    step('expiry in a century', expire(2, '2135-01-01T00:00:00Z')),
    step('expiry in words', expire(2, 'tomorrow')),
    step('expiry', expire(2, '2035-01-01T00:00:00Z')),
    step('expiry with a zone', expire(2, '2035-01-01T02:00:00+02:00')),
    step('key info with expiry', { type: 'get_key_info', node_id: 2 }),
    step('expiry cleared', expire(2, 'never')),
    step('expiry cleared again', expire(2, '')),
    step('expiry missing', expire(2, undefined)),
    step('expiry by the admin', { type: 'set_key_expiry', node_id: 2, expires_at: '2035-01-01T00:00:00Z', ...admin }),
    step('heartbeat before expiry', signed(2, 'heartbeat:2', { type: 'heartbeat', node_id: 2 })),
  ]
}

function administration(): Step[] {
  const named = [
    'get_audit_log',
    'set_webhook',
    'get_webhook',
    'get_webhook_dlq',
    'set_identity_webhook',
    'set_external_id',
    'get_identity',
    'set_idp_config',
    'get_idp_config',
    'validate_token',
    'set_audit_export',
    'get_audit_export',
    'provision_network',
    'get_provision_status',
    'directory_sync',
    'directory_status',
    'subscribe_replication',
  ]
  return [
    ...named.map((type) => step(`${type} without the token`, { type, node_id: 1, network_id: FIRM })),
    step('audit log limit', { type: 'get_audit_log', limit: 1, ...admin }),
    step('get_webhook', { type: 'get_webhook', ...admin }),
    step('get_webhook_dlq', { type: 'get_webhook_dlq', ...admin }),
    step('get_idp_config', { type: 'get_idp_config', ...admin }),
    step('get_audit_export', { type: 'get_audit_export', ...admin }),
    step('get_identity', { type: 'get_identity', node_id: 1, ...admin }),
    step('get_identity of nobody', { type: 'get_identity', node_id: 4711, ...admin }),
    step('set_external_id', { type: 'set_external_id', node_id: 1, external_id: 'anna@idp', ...admin }),
    step('lookup with external id', { type: 'lookup', node_id: 1 }),
    step('get_identity after', { type: 'get_identity', node_id: 1, ...admin }),
    step('set_external_id of nobody', { type: 'set_external_id', node_id: 4711, external_id: 'x', ...admin }),
    step('external id cleared', { type: 'set_external_id', node_id: 1, external_id: '', ...admin }),
    step('provision status', { type: 'get_provision_status', ...admin }),
    step('directory status', { type: 'directory_status', network_id: 77, ...admin }),
    step('audit export off', { type: 'set_audit_export', format: 'json', endpoint: '', ...admin }),
    step('identity provider off', { type: 'set_idp_config', idp_type: '', ...admin }),
    step('an empty blueprint', { type: 'provision_network', ...admin }),
    step('directory without entries', { type: 'directory_sync', network_id: FIRM, ...admin }),
    step('a whole audit log', { type: 'get_audit_log', limit: 1000, ...admin }),
    step('the audit log of a network', { type: 'get_audit_log', network_id: FIRM, ...admin }),
    step('validate_token', { type: 'validate_token', token: 'a.b.c', ...admin }),
    step('set_webhook off', { type: 'set_webhook', url: '', ...admin }),
    step('set_identity_webhook off', { type: 'set_identity_webhook', url: '', ...admin }),
    ...[
      'submit_badge',
      'enroll_recovery',
      'recover_identity',
      'set_expr_policy',
      'get_expr_policy',
      'set_member_tags',
      'get_member_tags',
    ].map((type) => step(type, { type, node_id: 1, network_id: FIRM, ...admin })),
  ]
}

function beacons(): Step[] {
  const beacon = (id: unknown, addr: unknown): Request => ({ type: 'beacon_register', beacon_id: id, addr })
  return [
    step('no beacons', { type: 'beacon_list' }),
    step('a beacon', beacon(5, '192.0.2.5:9001')),
    step('the same beacon elsewhere', beacon(5, '192.0.2.6:9001')),
    step('another', beacon(6, '[2001:db8::1]:9001')),
    step('beacon 0', beacon(0, '192.0.2.5:9001')),
    step('a beacon in words', beacon('7', '192.0.2.5:9001')),
    step('a beacon without address', beacon(7, '')),
    step('beacons', { type: 'beacon_list' }),
  ]
}

function keys(): Step[] {
  const rotate = (node: number, by: number, to: number | string): Request =>
    signed(by, `rotate:${node}`, {
      type: 'rotate_key',
      node_id: node,
      new_public_key: typeof to === 'number' ? key(to) : to,
    })
  return [
    step('rotate by a stranger', rotate(3, 2, 33)),
    step('rotate unsigned', { type: 'rotate_key', node_id: 3, new_public_key: key(33) }),
    step('rotate to no key', rotate(3, 3, '')),
    step('rotate to a bad key', rotate(3, 3, 'AAAA')),
    step('rotate of nobody', rotate(4711, 3, 33)),
    step('rotate', rotate(3, 3, 33)),
    step('lookup shows the new key', { type: 'lookup', node_id: 3 }),
    step('heartbeat with the old key', signed(3, 'heartbeat:3', { type: 'heartbeat', node_id: 3 })),
    step('heartbeat with the new key', signed(33, 'heartbeat:3', { type: 'heartbeat', node_id: 3 })),
    step('key info after rotation', { type: 'get_key_info', node_id: 3 }),
    step('register the new key', { type: 'register', listen_addr: '127.0.0.1:4003', public_key: key(33) }, '127.0.0.2'),
  ]
}

function endings(): Step[] {
  return [
    step('deregister unsigned', { type: 'deregister', node_id: 2 }),
    step('deregister by a stranger', signed(1, 'deregister:2', { type: 'deregister', node_id: 2 })),
    step('deregister', signed(2, 'deregister:2', { type: 'deregister', node_id: 2 })),
    step('deregister again', signed(2, 'deregister:2', { type: 'deregister', node_id: 2 })),
    step('lookup of who left', { type: 'lookup', node_id: 2 }),
    step('nodes without who left', { type: 'list_nodes', network_id: FIRM }),
    step('the hostname of who left', { type: 'resolve_hostname', hostname: 'bob' }),
    step('come back', { type: 'register', listen_addr: '127.0.0.1:4002', public_key: key(2) }, '127.0.0.2'),
    step('lookup of who came back', { type: 'lookup', node_id: 2 }),
    step('role of who came back', role(FIRM, 2)),
    step('deregister by the admin', { type: 'deregister', node_id: 8, ...admin }),
    step('deregister of nobody', { type: 'deregister', node_id: 4711 }),
    step('delete an enterprise network', remove(1, FIRM)),
    step('delete it as the admin', { type: 'delete_network', network_id: CLUB, ...admin }),
    step('networks at the end', { type: 'list_networks' }),
  ]
}

function resolve(requester: number, node: number): Request {
  return signed(requester, `resolve:${requester}:${node}`, { type: 'resolve', requester_id: requester, node_id: node })
}

function punch(requester: number, a: number, b: number): Request {
  return signed(requester, `punch:${a}:${b}`, { type: 'punch', requester_id: requester, node_a: a, node_b: b })
}

function join(node: number, network: number, fields: Request = {}): Request {
  return signed(node, `join_network:${node}:${network}`, {
    type: 'join_network',
    node_id: node,
    network_id: network,
    token: '',
    inviter_id: 0,
    ...fields,
  })
}

function leave(node: number, network: number): Request {
  return signed(node, `leave_network:${node}:${network}`, { type: 'leave_network', node_id: node, network_id: network })
}

function invite(inviter: number, network: number, target: number): Request {
  return signed(inviter, `invite:${inviter}:${network}:${target}`, {
    type: 'invite_to_network',
    network_id: network,
    inviter_id: inviter,
    target_node_id: target,
  })
}

function answer(node: number, network: number, accept: boolean): Request {
  return signed(node, `respond_invite:${node}:${network}`, {
    type: 'respond_invite',
    node_id: node,
    network_id: network,
    accept,
  })
}

function rename(by: number, network: number, name: string): Request {
  return claim(by, 'rename_network', network, { name })
}

function remove(by: number, network: number): Request {
  return claim(by, 'delete_network', network, {})
}

function transfer(by: number, network: number, to: number): Request {
  return claim(by, 'transfer_ownership', network, { new_owner_id: to }, to)
}

function role(network: number, target: number): Request {
  return { type: 'get_member_role', network_id: network, target_node_id: target }
}

/** A request by a role: the reference takes the claimed id, ours wants this signature as well. */
function claim(by: number, type: string, network: number, fields: Request, target?: number): Request {
  const text = `${type}:${by}:${network}${target === undefined ? '' : `:${target}`}`
  return signed(by, text, { type, network_id: network, node_id: by, ...fields })
}

function signed(by: number, text: string, request: Request): Request {
  return { ...request, signature: toBase64(identity(by).sign(utf8(text))) }
}

function key(number: number): string {
  return identity(number).publicKeyBase64
}

function identity(number: number): Identity {
  return createIdentity(new Uint8Array(32).fill(number % 256))
}

function step(name: string, request: Request, source = '127.0.0.1'): Step {
  return { name, request, source }
}
