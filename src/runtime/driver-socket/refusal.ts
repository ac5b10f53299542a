/** The text of an error for a driver, and how our errors read there: drivers know those of daemons. */
import { asPilotError } from '../../base/errors.ts'
import type { NodeId } from '../../base/types.ts'
import { RegistryRefusal } from '../node/driver-desk.ts'

export class DriverRefusal extends Error {
  override readonly name = 'DriverRefusal'
}

/** @param what the command, as daemons put it before their texts. */
export function refusalText(what: string, error: unknown): string {
  if (error instanceof DriverRefusal) return error.message
  if (error instanceof RegistryRefusal) return `${what}: registry: ${error.message}`
  return `${what}: ${asPilotError(error).message}`
}

/** Of a dial, or a datagram for which there is no tunnel. */
export function dialText(node: NodeId, error: unknown): string {
  const { code, message } = asPilotError(error)
  switch (code) {
    case 'NOT_FOUND':
      return `resolve node ${node}: registry: node ${node}: node not found`
    case 'NOT_TRUSTED':
      return `resolve node ${node}: registry: resolve denied: node ${node} is private (establish mutual trust first)`
    case 'CONNECTION_REFUSED':
    case 'TARGET_UNREACHABLE':
    case 'DENIED':
      return 'connection refused'
    case 'PEER_UNREACHABLE':
    case 'TIMED_OUT':
      return 'dial timeout'
    default:
      return message
  }
}
