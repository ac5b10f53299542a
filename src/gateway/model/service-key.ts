/**
 * The service that a ticket is for. The name alone is not enough: a different service may be exposed under it later.
 */
import type { ExposedRecord } from './records.ts'

export type ServiceKey = Pick<ExposedRecord, 'name' | 'port' | 'protocol' | 'target'>

export function serviceKey({ name, port, protocol, target }: ServiceKey): ServiceKey {
  return { name, port, protocol, target }
}

export function isSameService(a: ServiceKey, b: ServiceKey): boolean {
  return a.name === b.name && a.port === b.port && a.protocol === b.protocol && a.target === b.target
}
