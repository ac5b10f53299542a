/** The table of request types. To serve another request, write its handler and add a line. */
import type { Bucket } from './rate-limiter.ts'
import type { Handler } from './request.ts'
import {
  forAdmin,
  getAuditExport,
  getAuditLog,
  getIdentity,
  getIdpConfig,
  getProvisionStatus,
  getWebhook,
  getWebhookDlq,
  notOffered,
  setAuditExport,
  setExternalId,
  setIdentityWebhook,
  setIdpConfig,
  setWebhook,
  subscribeReplication,
} from './administration.ts'
import { beaconList, beaconRegister } from './beacons.ts'
import { badgesNotKept, noRecovery } from './credentials.ts'
import { getExprPolicy, setExprPolicy } from './expr-policy.ts'
import { pollHandshakes, requestHandshake, respondHandshake } from './handshakes.ts'
import { inviteToNetwork, pollInvites, respondInvite } from './invites.ts'
import { getKeyInfo, rotateKey, setKeyExpiry } from './keys.ts'
import { getMemberTags, setMemberTags } from './member-tags.ts'
import { resolveHostname, setHostname } from './names.ts'
import {
  createNetwork,
  deleteNetwork,
  joinNetwork,
  leaveNetwork,
  listNetworks,
  listNodes,
  renameNetwork,
} from './networks.ts'
import { deregister, heartbeat, lookup, punch, resolve, setTags, setTaskExec, setVisibility } from './nodes.ts'
import { getNetworkPolicy, setNetworkPolicy } from './policies.ts'
import { register } from './register.ts'
import {
  demoteMember,
  getMemberRole,
  kickMember,
  promoteMember,
  setNetworkEnterprise,
  transferOwnership,
} from './roles.ts'
import { getPoloScore, setPoloScore, updatePoloScore } from './scores.ts'
import { sessionHello, sessionOpen } from './session-requests.ts'
import { checkTrust, reportTrust, revokeTrust } from './trust.ts'

export interface RequestKind {
  readonly handle: Handler
  readonly limit?: { readonly bucket: Bucket; readonly what: string }
  readonly durable?: true // the reply promises something: it waits until that is on disk
}

const query = { bucket: 'query', what: 'queries' } as const
const change = { bucket: 'change', what: 'changes' } as const

export const REQUESTS: ReadonlyMap<string, RequestKind> = new Map<string, RequestKind>([
  ['session_hello', { handle: sessionHello, limit: query }],
  ['session_open', { handle: sessionOpen, limit: query, durable: true }],
  ['register', { handle: register, durable: true }], // limits itself: known keys pass
  ['heartbeat', { handle: heartbeat, limit: { bucket: 'heartbeat', what: 'heartbeats' } }],
  ['lookup', { handle: lookup, limit: query }],
  ['resolve', { handle: resolve, limit: { bucket: 'resolve', what: 'resolve requests' } }],
  ['resolve_hostname', { handle: resolveHostname, limit: query }],
  ['set_visibility', { handle: setVisibility, limit: change, durable: true }],
  ['set_hostname', { handle: setHostname, limit: { bucket: 'rename', what: 'changes of name' }, durable: true }],
  ['set_tags', { handle: setTags, limit: change, durable: true }],
  ['set_task_exec', { handle: setTaskExec, limit: change, durable: true }],
  ['deregister', { handle: deregister, durable: true }],
  ['rotate_key', { handle: rotateKey, limit: change, durable: true }],
  ['set_key_expiry', { handle: setKeyExpiry, limit: change, durable: true }],
  ['get_key_info', { handle: getKeyInfo, limit: query }],
  ['get_polo_score', { handle: getPoloScore, limit: query }],
  ['update_polo_score', { handle: updatePoloScore, limit: change, durable: true }],
  ['set_polo_score', { handle: setPoloScore, limit: change, durable: true }],
  ['punch', { handle: punch, limit: query }],
  ['report_trust', { handle: reportTrust, limit: change, durable: true }],
  ['revoke_trust', { handle: revokeTrust, limit: change, durable: true }],
  ['check_trust', { handle: checkTrust, limit: query }],
  ['request_handshake', { handle: requestHandshake, limit: change, durable: true }],
  ['poll_handshakes', { handle: pollHandshakes }], // messages delivered but not yet deleted may come twice, but are never lost
  ['respond_handshake', { handle: respondHandshake, limit: change, durable: true }],
  ['create_network', { handle: createNetwork, durable: true }],
  ['join_network', { handle: joinNetwork, durable: true }],
  ['leave_network', { handle: leaveNetwork, durable: true }],
  ['delete_network', { handle: deleteNetwork, durable: true }],
  ['rename_network', { handle: renameNetwork, durable: true }],
  ['list_networks', { handle: listNetworks, limit: query }],
  ['list_nodes', { handle: listNodes, limit: query }],
  ['set_network_enterprise', { handle: setNetworkEnterprise, durable: true }],
  ['invite_to_network', { handle: inviteToNetwork, durable: true }],
  ['poll_invites', { handle: pollInvites }],
  ['respond_invite', { handle: respondInvite, durable: true }],
  ['promote_member', { handle: promoteMember, durable: true }],
  ['demote_member', { handle: demoteMember, durable: true }],
  ['kick_member', { handle: kickMember, durable: true }],
  ['transfer_ownership', { handle: transferOwnership, durable: true }],
  ['get_member_role', { handle: getMemberRole, limit: query }],
  ['set_network_policy', { handle: setNetworkPolicy, durable: true }],
  ['get_network_policy', { handle: getNetworkPolicy, limit: query }],
  ['set_member_tags', { handle: setMemberTags, limit: change, durable: true }],
  ['get_member_tags', { handle: getMemberTags, limit: query }],
  ['set_expr_policy', { handle: setExprPolicy, limit: change, durable: true }],
  ['get_expr_policy', { handle: getExprPolicy, limit: query }],
  ['submit_badge', { handle: badgesNotKept, limit: change }],
  ['enroll_recovery', { handle: noRecovery, limit: change }],
  ['recover_identity', { handle: noRecovery, limit: change }],
  ['beacon_register', { handle: beaconRegister, limit: change }],
  ['beacon_list', { handle: beaconList }],
  ['get_audit_log', { handle: forAdmin(getAuditLog) }],
  ['set_external_id', { handle: forAdmin(setExternalId), durable: true }],
  ['get_identity', { handle: forAdmin(getIdentity) }],
  ['get_provision_status', { handle: forAdmin(getProvisionStatus) }],
  ['get_webhook', { handle: forAdmin(getWebhook) }],
  ['get_webhook_dlq', { handle: forAdmin(getWebhookDlq) }],
  ['set_webhook', { handle: forAdmin(setWebhook) }],
  ['set_identity_webhook', { handle: forAdmin(setIdentityWebhook) }],
  ['get_idp_config', { handle: forAdmin(getIdpConfig) }],
  ['set_idp_config', { handle: forAdmin(setIdpConfig) }],
  ['get_audit_export', { handle: forAdmin(getAuditExport) }],
  ['set_audit_export', { handle: forAdmin(setAuditExport) }],
  ...['validate_token', 'provision_network', 'directory_sync', 'directory_status'].map(
    (type): [string, RequestKind] => [type, { handle: forAdmin(notOffered) }],
  ),
  ['subscribe_replication', { handle: subscribeReplication }],
])
