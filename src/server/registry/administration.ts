/**
 * Requests with the admin token (registry.md §8). Supported: the audit log and external identities. Webhooks, identity
 * providers and audit exports are not supported: queries get the answer of a server without them; disabling them
 * succeeds, enabling them is refused, as are blueprints and directory sync.
 */
import type { LiveNode } from './directory.ts'
import type { Call, Handler } from './request.ts'
import { AUDIT_ENTRIES, MAX_EXTERNAL_ID_CHARS } from './constants.ts'
import { adminProblem } from './request.ts'
import { rfc3339 } from './times.ts'

/** Wraps a handler that only the admin may call. */
export function forAdmin(handle: Handler): Handler {
  return (call) => adminProblem(call) ?? handle(call)
}

export function getAuditLog(call: Call): object {
  const wanted = call.request.number('limit')
  const limit = wanted >= 1 ? Math.min(wanted, AUDIT_ENTRIES) : DEFAULT_AUDIT_LIMIT
  const entries = call.audit
    .latest(limit, call.request.number('network_id'))
    .map(({ atMs, action, networkId, nodeId, details }) => ({
      timestamp: rfc3339(atMs),
      action,
      ...(networkId !== 0 && { network_id: networkId }),
      ...(nodeId !== 0 && { node_id: nodeId }),
      ...(details !== '' && { details }),
    }))
  return { type: 'get_audit_log_ok', entries }
}

export function setExternalId(call: Call): object | string {
  const node = found(call)
  if (typeof node === 'string') return node
  const externalId = call.request.text('external_id')
  if (externalId.length > MAX_EXTERNAL_ID_CHARS) return `external_id too long (max ${MAX_EXTERNAL_ID_CHARS} chars)`
  call.audit.note(call.now, 'identity.external_id_set', {
    node: node.nodeId,
    details: `old_external_id=${node.externalId}, new_external_id=${externalId}`,
  })
  node.externalId = externalId
  call.directory.saveLive(node)
  return { type: 'set_external_id_ok', node_id: node.nodeId, external_id: externalId }
}

export function getIdentity(call: Call): object | string {
  const node = found(call)
  if (typeof node === 'string') return node
  return { type: 'get_identity_ok', node_id: node.nodeId, external_id: node.externalId, owner: node.account.owner }
}

export function getProvisionStatus(call: Call): object {
  const networks = [...call.networks.all()].map((network) => ({
    network_id: network.id,
    name: network.name,
    join_rule: network.joinRule,
    enterprise: network.enterprise,
    members: call.networks.members(network).size,
    ...(network.maxMembers > 0 && { max_members: network.maxMembers }),
  }))
  return { type: 'get_provision_status_ok', networks }
}

export function getWebhook(): object {
  return { type: 'get_webhook_ok', enabled: false, url: '', delivered: 0, failed: 0, dropped: 0, dlq_size: 0 }
}

export function getWebhookDlq(): object {
  return { type: 'get_webhook_dlq_ok', events: null, count: 0 }
}

export function setWebhook(call: Call): object | string {
  return call.request.text('url') === '' ? { type: 'set_webhook_ok', status: 'disabled', url: '' } : NOT_OFFERED
}

export function setIdentityWebhook(call: Call): object | string {
  return call.request.text('url') === '' ? { type: 'set_identity_webhook_ok', status: 'disabled' } : NOT_OFFERED
}

export function getIdpConfig(): object {
  return { type: 'get_idp_config_ok', configured: false }
}

export function setIdpConfig(call: Call): object | string {
  return call.request.text('idp_type') === '' ? { type: 'set_idp_config_ok', status: 'disabled' } : NOT_OFFERED
}

export function getAuditExport(): object {
  return { type: 'get_audit_export_ok', enabled: false }
}

export function setAuditExport(call: Call): object | string {
  return call.request.text('endpoint') === '' ? { type: 'set_audit_export_ok', status: 'disabled' } : NOT_OFFERED
}

export function notOffered(): string {
  return NOT_OFFERED
}

/** The only refusal whose text the reference shows although no phrase allows it. */
export function subscribeReplication(): object {
  return { type: 'error', error: 'replication not configured' }
}

function found(call: Call): LiveNode | string {
  return call.directory.live(call.request.number('node_id')) ?? 'node not found'
}

const DEFAULT_AUDIT_LIMIT = 100
const NOT_OFFERED = 'cannot do that: not supported by this registry'
