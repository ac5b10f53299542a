/**
 * places.json: where trusted peers were reached last, so that a gateway that starts while its registry is away still
 * finds them. A cache of our own: an unreadable entry is left out.
 */
import type { Endpoint, NodeId } from '../base/types.ts'
import { formatEndpoint } from '../base/types.ts'
import { asRecord, countField, parseJsonObject, textField } from './go-json.ts'
import { literalEndpoint } from './ip-address.ts'

export interface Place {
  readonly nodeId: NodeId
  readonly publicKey: string // base64: the peer's key, whatever the id means later
  readonly endpoints: readonly Endpoint[] // each has answered; the one in use comes first
  readonly extended: boolean // the peer is a pilotgate
}

export interface PlacesFile {
  readonly udpPort?: number // our own port: where peers look for us
  readonly places: readonly Place[]
}

export function parsePlacesFile(text: string): PlacesFile {
  const record = parseJsonObject(text) ?? {}
  const udpPort = countField(record, 'udp_port', 65_535)
  const list = Array.isArray(record['places']) ? record['places'] : []
  const places = list.map(parsePlace).filter((place) => place !== undefined)
  return { places, ...(udpPort !== undefined && udpPort !== 0 && { udpPort }) }
}

export function formatPlacesFile({ udpPort, places }: PlacesFile): string {
  const entries = places.map(({ nodeId, publicKey, endpoints, extended }) => ({
    node_id: nodeId,
    public_key: publicKey,
    endpoints: endpoints.map(formatEndpoint),
    extended,
  }))
  return `${JSON.stringify({ udp_port: udpPort, places: entries }, undefined, 2)}\n`
}

function parsePlace(value: unknown): Place | undefined {
  const record = asRecord(value) ?? {}
  const nodeId = countField(record, 'node_id', 0xffff_ffff)
  const publicKey = textField(record, 'public_key')
  const texts = Array.isArray(record['endpoints']) ? record['endpoints'] : []
  const endpoints = texts.flatMap((text) => (typeof text === 'string' ? (literalEndpoint(text) ?? []) : []))
  if (nodeId === undefined || nodeId === 0 || publicKey === undefined || publicKey === '') return undefined
  return endpoints.length === 0
    ? undefined
    : { nodeId, publicKey, endpoints: endpoints.slice(0, MAX_ENDPOINTS), extended: record['extended'] === true }
}

/** Endpoints of one peer that can answer at the same time: hardly more than its LAN, its NAT and its IPv6 address. */
export const MAX_ENDPOINTS = 4
