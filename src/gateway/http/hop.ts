/** Where a request goes next, and its description. The front creates hops to peers, an exposure hops to its target. */
import type { Agent } from 'node:http'
import type { Duplex } from 'node:stream'
import type { KnownPeer } from '../model/known-peer.ts'
import type { PageRequest } from './origin.ts'

export interface Hop {
  readonly host: string // with the port, the agent's connection pool
  readonly port: number
  readonly agent: Agent // of HTTP/1.1 connections
  /** A new connection, for HTTP/2. @throws PilotError: like dialling. */
  readonly connect: () => Promise<Duplex>
  /** Set in headers for the backend. Absent: nothing is set, and nothing from the client is removed. */
  readonly caller?: KnownPeer
  /** What the service sees as its own host and port, under host=rewrite. Absent: what the client sent. */
  readonly presents?: string
  readonly about: HopAbout
}

/** Its fields in the access log. */
export interface HopAbout {
  readonly http: 'front' | 'expose' | 'map'
  readonly service: string // name of the mapping or exposure, or PEER:PORT
  readonly peer: string
  readonly nodeId?: number
  readonly label?: string // of the ticket that admitted it
  readonly key?: string
  readonly via?: string // kind of the overlay path
}

/** The destination given by a request. */
export interface Asked extends PageRequest {
  readonly authority: string | undefined // Host header or `:authority`, as sent
  readonly path: string // as sent
  readonly absolute: boolean // the request line held a full URL: the client uses us as its proxy
}

/** @throws PilotError NOT_FOUND, USAGE, DENIED; OwnPage if the request is for the front itself. */
export type Route = (asked: Asked) => Hop
