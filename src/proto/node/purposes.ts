/** The purpose of a query to the registry. */
import type { NodeId } from '../../base/types.ts'
import type { OutgoingRequest } from '../trust/requests.ts'
import type { RegistryApp } from './views.ts'

export type Purpose =
  | { readonly kind: 'register' }
  | { readonly kind: 'heartbeat' }
  | { readonly kind: 'set_hostname'; readonly hostname: string }
  | { readonly kind: 'set_visibility' }
  | { readonly kind: 'set_tags' }
  | { readonly kind: 'poll' }
  | { readonly kind: 'request_trust'; readonly request: OutgoingRequest }
  | { readonly kind: 'request_name'; readonly request: OutgoingRequest }
  | { readonly kind: 'respond'; readonly node: NodeId; readonly accept: boolean }
  | { readonly kind: 'report'; readonly node: NodeId }
  | { readonly kind: 'revoke' }
  | { readonly kind: 'join'; readonly network: number }
  | { readonly kind: 'lookup'; readonly node: NodeId }
  | { readonly kind: 'resolve'; readonly node: NodeId }
  | { readonly kind: 'resolve_hostname'; readonly hostname: string }
  /** A driver's own question: the answer is for it alone. */
  | { readonly kind: 'driver'; readonly app: RegistryApp }
