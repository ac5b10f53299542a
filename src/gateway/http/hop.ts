/** Where one request goes next, and what is told about it. The front makes hops to peers, an exposure hops to its target. */
import type { Agent } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Caller } from '../model/caller.ts'
import type { PageRequest } from './origin.ts'

export interface Hop {
  readonly host: string // with the port, the pool of the agent that connections come from
  readonly port: number
  readonly agent: Agent // of HTTP/1.1 connections
  /** A new connection, for HTTP/2. @throws PilotError: what dialling throws. */
  readonly connect: () => Promise<Duplex>
  /** Set in headers for the backend. Absent: nothing is said, and nothing that a client says is passed on. */
  readonly caller?: Caller
  readonly about: HopAbout
}

/** What the access log says of it. */
export interface HopAbout {
  readonly http: 'front' | 'expose'
  readonly service: string // name of the mapping or exposure, or PEER:PORT
  readonly peer: string
  readonly nodeId?: number
  readonly key?: string
  readonly via?: string // kind of the overlay path
}

/** What a request says about where it wants to go. */
export interface Asked extends PageRequest {
  readonly authority: string | undefined // Host header or `:authority`, as sent
  readonly absolute: boolean // the request line held a whole URL: the client takes us for its proxy
}

/** @throws PilotError NOT_FOUND, USAGE, DENIED. */
export type Route = (asked: Asked) => Hop
