/**
 * The policy of a network that today's daemons evaluate themselves: kept as text for those who ask, and never interpreted
 * here.
 */
import type { Call } from './request.ts'
import { MAX_EXPR_POLICY_CHARS } from './constants.ts'
import { noNetwork, roleProblem } from './network-access.ts'

/** Empty removes it. */
export function setExprPolicy(call: Call): object | string {
  const networkId = call.request.number('network_id')
  const network = call.networks.get(networkId)
  if (network === undefined) return noNetwork(networkId)
  const problem = roleProblem(call, network, ['owner', 'admin'])
  if (problem !== undefined) return problem
  const policy = call.request.text('expr_policy')
  if (policy.length > MAX_EXPR_POLICY_CHARS) return `expr_policy too long (max ${MAX_EXPR_POLICY_CHARS} chars)`
  if (policy !== '' && !isObject(policy)) return 'invalid expr_policy: a JSON object is required'
  network.exprPolicy = policy
  call.networks.save(network)
  call.audit.note(call.now, 'network.expr_policy_changed', { network: networkId, details: `chars=${policy.length}` })
  return { type: 'set_expr_policy_ok', network_id: networkId }
}

/** Open to all, as the other policy is. */
export function getExprPolicy(call: Call): object | string {
  const networkId = call.request.number('network_id')
  const network = call.networks.get(networkId)
  if (network === undefined) return noNetwork(networkId)
  return { type: 'get_expr_policy_ok', network_id: networkId, expr_policy: network.exprPolicy }
}

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}
