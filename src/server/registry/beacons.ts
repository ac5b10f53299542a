/** Requests about beacons (registry.md §7). They are not authenticated: a listed beacon is a hint, not a promise. */
import type { Call } from './request.ts'
import { parseEndpoint } from '../../base/types.ts'

export function beaconRegister(call: Call): object | string {
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
