/** Hostnames: setting one, and finding a node by it (registry.md §3.6, §3.7). */
import type { LiveNode } from './directory.ts'
import type { Call } from './request.ts'
import { formatAddress, isHostname } from '../../base/address.ts'
import { challenges } from '../../wire/registry-messages.ts'
import { MAX_HOSTNAME_CHARS } from './constants.ts'
import { authenticate, signatureProblem } from './request.ts'

/** Empty clears. Who holds a taken name is not told: the name may be private. */
export function setHostname (call: Call): object | string {
  const node = authenticate(call, 'node_id', challenges.setHostname)
  if (typeof node === 'string') return node
  const hostname = call.request.text('hostname')
  const problem = hostname === '' ? undefined : hostnameProblem(hostname)
  if (problem !== undefined) return `invalid hostname: ${problem}`
  if (!call.directory.setHostname(node, hostname)) return `hostname "${hostname}" already in use`
  return { type: 'set_hostname_ok', node_id: node.nodeId, hostname }
}

/** A private name and an unknown one get the same answer. */
export function resolveHostname (call: Call): object | string {
  const hostname = call.request.text('hostname')
  if (hostname === '') return 'hostname required'
  const node = call.directory.liveByHostname(hostname)
  if (node === undefined || !mayKnow(call, node)) return `hostname "${hostname.slice(0, MAX_HOSTNAME_CHARS)}" not found`
  const address = formatAddress({ network: 0, node: node.nodeId })
  return { type: 'resolve_hostname_ok', node_id: node.nodeId, address, public: node.public, hostname: node.hostname }
}

/** Undefined when the name may be used; the reference's words, which go into replies. */
export function hostnameProblem (hostname: string): string | undefined {
  if (hostname.length > MAX_HOSTNAME_CHARS) return `hostname too long (max ${MAX_HOSTNAME_CHARS} chars)`
  if (isHostname(hostname)) return undefined
  const wellFormed = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(hostname)
  if (wellFormed) return `hostname "${hostname}" is reserved`
  return 'hostname must be lowercase alphanumeric with hyphens, start/end with alphanumeric'
}

function mayKnow (call: Call, node: LiveNode): boolean {
  if (node.public) return true
  const requester = call.directory.live(call.request.number('requester_id'))
  if (requester === undefined) return false
  if (requester !== node && !call.trust.effective(requester.nodeId, node.nodeId)) return false
  if (call.options.allowUnsignedResolve) return true
  const challenge = challenges.resolveHostname(requester.nodeId, call.request.text('hostname'))
  return signatureProblem(call, requester.account.publicKey, challenge) === undefined
}
