/** Hostnames: setting one, and finding a node by it (registry.md §3.6, §3.7). */
import type { Call } from './request.ts'
import { formatAddress, isHostname } from '../../base/address.ts'
import { challenges } from '../../wire/registry-messages.ts'
import { mayKnowName } from './access.ts'
import { MAX_HOSTNAME_CHARS } from './constants.ts'
import { authenticateOrAdmin } from './request.ts'

/** Empty clears. The holder of a taken name is not revealed: the name may be private. */
export function setHostname(call: Call): object | string {
  const node = authenticateOrAdmin(call, 'node_id', challenges.setHostname)
  if (typeof node === 'string') return node
  const hostname = call.request.text('hostname')
  const problem = hostname === '' ? undefined : hostnameProblem(hostname)
  if (problem !== undefined) return `invalid hostname: ${problem}`
  const old = node.hostname
  if (!call.directory.setHostname(call.now, node, hostname)) return `hostname "${hostname}" already in use`
  call.audit.note(call.now, 'hostname.changed', {
    node: node.nodeId,
    details: `old_hostname=${old}, new_hostname=${hostname}`,
  })
  return { type: 'set_hostname_ok', node_id: node.nodeId, hostname }
}

/** A private name and an unknown one get the same answer. */
export function resolveHostname(call: Call): object | string {
  const hostname = call.request.text('hostname')
  if (hostname === '') return 'hostname required'
  const node = call.directory.liveByHostname(hostname)
  const isKnown =
    node !== undefined && mayKnowName(call, node, (requester) => challenges.resolveHostname(requester, hostname))
  if (!isKnown) return `hostname "${hostname.slice(0, MAX_HOSTNAME_CHARS)}" not found`
  const address = formatAddress({ network: 0, node: node.nodeId })
  return {
    type: 'resolve_hostname_ok',
    node_id: node.nodeId,
    address,
    public: node.public,
    hostname: node.hostname,
    last_seen_unix: Math.floor(node.lastSeenMs / 1000),
  }
}

/** Undefined if the name may be used; otherwise the reference's text, for replies. */
export function hostnameProblem(hostname: string): string | undefined {
  if (hostname.length > MAX_HOSTNAME_CHARS) return `hostname too long (max ${MAX_HOSTNAME_CHARS} chars)`
  if (isHostname(hostname)) return undefined
  const wellFormed = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(hostname)
  if (wellFormed) return `hostname "${hostname}" is reserved`
  return 'hostname must be lowercase alphanumeric with hyphens, start/end with alphanumeric'
}
