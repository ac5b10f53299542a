/** Events of the node. Those with an `app` are answers, for that app alone. */
import type { OverlayAddress } from '../../base/address.ts'
import type { ErrorCode } from '../../base/errors.ts'
import type { Endpoint, NodeId } from '../../base/types.ts'
import type { NatFiltering, NatMapping } from '../../wire/path-hello.ts'
import type { LookupReply } from '../../wire/registry-messages.ts'
import type { StreamView } from '../stream/stream-view.ts'
import type { DialView } from './dial.ts'
import type { AboutApp, ContestedName, NameAnswer, NameApp, PathView, PeerView, PingApp, RegistryApp } from './views.ts'

export type NodeEvent =
  | {
      readonly kind: 'registered'
      readonly nodeId: NodeId
      readonly address: OverlayAddress
      readonly hostname: string | undefined
    }
  | { readonly kind: 'registry_lost' }
  /** The beacon sees us there now. */
  | { readonly kind: 'endpoint'; readonly endpoint: Endpoint }
  /** Datagrams to and from the beacon now go another way. */
  | { readonly kind: 'way'; readonly current: 'udp' | 'tcp' }
  /** Again no answer from the beacon to several questions in a row: if there is another one, it may answer. */
  | { readonly kind: 'beacon_silent' }
  /** Our NAT type is now known, or has changed. */
  | { readonly kind: 'nat'; readonly mapping: NatMapping; readonly filtering: NatFiltering }
  /** A PILA with an identity other than the node's, or a forged one. */
  | { readonly kind: 'auth_refused'; readonly node: NodeId; readonly why: string; readonly from: Endpoint }
  | { readonly kind: 'registry_refused'; readonly request: string; readonly text: string }
  | { readonly kind: 'hostname_set'; readonly hostname: string | undefined }
  | { readonly kind: 'hostname_refused'; readonly hostname: string; readonly text: string }
  /** A SYN passed the trust gate, to a port that has a listener: `accept` or `refuse` the stream. */
  | {
      readonly kind: 'incoming'
      readonly stream: StreamView
      readonly peer: PeerView
      readonly isReply: boolean // to the data exchange, from a node whose own we have just dialled
    }
  /** A connection attempt that was turned away; `stranger`: without any answer. */
  | {
      readonly kind: 'turned_away'
      readonly node: NodeId
      readonly port: number | undefined
      readonly why: 'stranger' | 'no_listener' | 'limit'
      readonly from: Endpoint | undefined
    }
  /** A dial without a port: the tunnel to the peer is up, as requested. */
  | { readonly kind: 'connected'; readonly dial: DialView; readonly peer: PeerView }
  | { readonly kind: 'dial_failed'; readonly dial: DialView; readonly code: ErrorCode; readonly text: string }
  | {
      readonly kind: 'trust'
      readonly node: NodeId
      readonly hostname: string | undefined // the name bound to its key, otherwise the registry's name for it
      readonly isVerified: boolean // the former
      readonly fingerprint: string | undefined // of its key
      readonly state: 'pending' | 'approved' | 'rejected' | 'revoked' | 'key_changed'
    }
  /** The registry's name for a peer trusted by address is now bound to its key. */
  | { readonly kind: 'name_bound'; readonly node: NodeId; readonly hostname: string; readonly fingerprint: string }
  /** The registry gives a bound name to a node with another key. */
  | ({ readonly kind: 'name_contested' } & ContestedName)
  /** A trust request that awaited a decision was discarded: the list was full, or it was undecided for weeks. */
  | {
      readonly kind: 'request_dropped'
      readonly node: NodeId
      readonly hostname: string | undefined
      readonly why: 'full' | 'expired'
    }
  /** The registry does not deliver our request for trust to this peer, for a reason not reported before. */
  | { readonly kind: 'wish_refused'; readonly peer: string; readonly text: string }
  /** The peer should be notified of our trust by a handshake message: a Go peer polls the registry only every 30 s. */
  | { readonly kind: 'accept_due'; readonly node: NodeId }
  | { readonly kind: 'path'; readonly peer: PeerView; readonly path: PathView }
  | { readonly kind: 'peer'; readonly peer: PeerView; readonly state: 'connected' | 'unreachable' | 'restarted' }
  | {
      readonly kind: 'pong'
      readonly app: PingApp
      readonly peer: PeerView
      readonly path: PathView
      readonly rttMs: number
    }
  | { readonly kind: 'name'; readonly app: NameApp; readonly answer: NameAnswer }
  | {
      readonly kind: 'about'
      readonly app: AboutApp
      readonly about: LookupReply | undefined
      readonly isReachable: boolean
    }
  /** The answer to a driver's question; `text`: why there is no reply, undefined if the registry did not answer. */
  | {
      readonly kind: 'registry_answer'
      readonly app: RegistryApp
      readonly reply: object | undefined
      readonly text: string | undefined
    }
  | {
      readonly kind: 'datagram'
      readonly node: NodeId
      readonly sourcePort: number
      readonly port: number
      readonly bytes: Uint8Array
    }
