/** A requested stream. The node keeps it until the stream exists or the dial has failed. */
import type { Stream } from '../stream/stream.ts'
import type { DialApp } from './views.ts'

export interface Dial {
  readonly label: string // for messages: the peer as the user wrote it
  readonly port: number | undefined // undefined: only the tunnel is requested
  readonly app: DialApp
  /** By a hostname that is bound to a key: should the peer fail, the registry may know why. */
  hostname: string | undefined
  /** The key, base64, that the hostname meant when it was first looked up: no other node gets its stream, whatever it means later. */
  key: string | undefined
  redials: number
  cancelled: boolean
  stream: Stream | undefined
}

/** Identifies a dial in commands. */
export type DialView = Pick<Readonly<Dial>, 'label' | 'port' | 'app' | 'cancelled'>
