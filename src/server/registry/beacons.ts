/**
 * Requests about beacons (registry.md §7). Daemons use what is listed, so only the operator announces: from this machine, or
 * with the admin token.
 */
import type { Call } from './request.ts'
import { isLoopback, parseEndpoint } from '../../base/types.ts'
import { isAdmin } from './request.ts'

export function beaconRegister(call: Call): object | string {
  const isOperator = isLoopback(call.source.address) || isAdmin(call) || call.options.compat.has('open-beacons')
  if (!isOperator) return 'admin_token required'
  const id = call.request.number('beacon_id')
  const addr = call.request.text('addr')
  if (id === 0) return 'beacon_id required'
  if (addr === '') return 'addr required'
  if (parseEndpoint(addr) === undefined) return 'invalid addr: host:port wanted'
  if (!call.beacons.put(call.now, id, addr, call.source.address)) return 'too many beacons'
  call.audit.note(call.now, 'beacon.registered', { details: `beacon_id=${id}, addr=${addr}` })
  return { type: 'beacon_register_ok', beacon_id: id }
}

export function beaconList(call: Call): object {
  return { type: 'beacon_list_ok', beacons: call.beacons.list(call.now) }
}
