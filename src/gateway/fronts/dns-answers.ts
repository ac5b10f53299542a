/**
 * Answers DNS queries (RFC 1035, 2308, 2782, 6891): bytes in, bytes out, no sockets. Only our zone exists; other names
 * are NXDOMAIN, and no one is asked about them. Above: dns.ts. Below: names.ts.
 */
import { AUTHORITATIVE_ANSWER, TRUNCATED_RESPONSE, decode, encode } from 'dns-packet'
import type { Answer, DecodedPacket, OptAnswer, Question } from 'dns-packet'
import { formatAddress } from '../../base/address.ts'
import { hostOf, portOf } from './names.ts'
import type { NamedPeer } from './names.ts'
import type { MappedRecord } from '../model/records.ts'

/** The source of the answers. */
export interface Zone {
  readonly domain: string
  /** Undefined: there is no such peer. Rejects if the registry cannot be asked. */
  find(peer: string): Promise<NamedPeer | undefined>
  mapUsualPorts(peer: string): Promise<void>
  mappedOf(peer: string): readonly MappedRecord[]
  peerAt(address: string): string | undefined
  dnsNameOf(peer: string): string | undefined
}

interface Found {
  readonly rcode: number
  readonly answers: readonly Answer[]
  readonly zone?: string // ours: a negative answer names it
}

/**
 * @param limit largest answer, bytes, if the query does not specify it (UDP: 512; TCP: 65,535). @returns undefined for
 *   anything that is not a query.
 */
export async function answerQuestion(zone: Zone, bytes: Uint8Array, limit: number): Promise<Uint8Array | undefined> {
  const query = read(bytes)
  if (query === undefined) return undefined
  const { id = 0, flags = 0, questions = [] } = query
  const edns = query.additionals?.find((record): record is OptAnswer => record.type === 'OPT')
  // RFC 6891 §6.1.3: an unsupported version is answered with BADVERS, whatever the query.
  const isSpoken = (edns?.ednsVersion ?? 0) === 0
  const found = isSpoken ? await judge(zone, query) : { rcode: NO_ERROR, answers: [] }
  const reply = (truncated: boolean): Buffer =>
    encode({
      type: 'response',
      id,
      flags:
        (flags & RECURSION_DESIRED) |
        (flags & OPCODE) |
        (found.zone === undefined ? 0 : AUTHORITATIVE_ANSWER) |
        (truncated ? TRUNCATED_RESPONSE : 0) |
        found.rcode,
      questions: questions.slice(0, 1),
      answers: truncated ? [] : [...found.answers],
      authorities: found.zone === undefined || found.answers.length > 0 ? [] : [soaOf(found.zone)],
      additionals: edns === undefined ? [] : [isSpoken ? OUR_EDNS : { ...OUR_EDNS, extendedRcode: BADVERS_HIGH }],
    })
  const whole = reply(false)
  const room =
    limit > MAX_UDP_BYTES
      ? limit
      : edns === undefined
        ? limit
        : Math.min(MAX_UDP_BYTES, Math.max(limit, edns.udpPayloadSize))
  return whole.length <= room ? whole : reply(true)
}

/** dns-packet throws on what it cannot parse; another server would endlessly answer a message that is not a query. */
function read(bytes: Uint8Array): DecodedPacket | undefined {
  try {
    const packet = decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
    return packet.type === 'query' ? packet : undefined
  } catch {
    return undefined
  }
}

async function judge(zone: Zone, { flags = 0, questions = [] }: DecodedPacket): Promise<Found> {
  if ((flags & OPCODE) !== 0) return { rcode: NOT_IMPLEMENTED, answers: [] }
  const [question] = questions
  if (question === undefined || questions.length > 1) return { rcode: FORMAT_ERROR, answers: [] }
  if ((question.class ?? 'IN') !== 'IN' && question.class !== 'ANY') return NOTHING
  try {
    return await answersTo(zone, question)
  } catch {
    return { rcode: SERVER_FAILURE, answers: [] } // the registry does not answer: not the same as no such name
  }
}

async function answersTo(zone: Zone, question: Question): Promise<Found> {
  const name = question.name.toLowerCase().replace(/\.$/, '')
  const reverse = /^(\d{1,3})\.(\d{1,3})\.77\.127\.in-addr\.arpa$/.exec(name)
  if (reverse !== null) return reverseAnswers(zone, question, `127.77.${Number(reverse[2])}.${Number(reverse[1])}`)
  const apex = [`${zone.domain}.localhost`, zone.domain].find((each) => name === each || name.endsWith(`.${each}`))
  if (apex === undefined) return NOTHING
  if (name === apex) return { rcode: NO_ERROR, answers: wants(question, 'SOA') ? [soaOf(apex)] : [], zone: apex }
  const labels = name.slice(0, -apex.length - 1).split('.')
  const found = await zone.find(labels.at(-1)!)
  if (found === undefined || labels.length > 3) return { ...NOTHING, zone: apex }
  await zone.mapUsualPorts(found.peer)
  if (labels.length === 1) return { rcode: NO_ERROR, answers: peerAnswers(zone, question, apex, found), zone: apex }
  const services = servicesOf(zone, found, labels.slice(0, -1))
  if (services.length === 0) return { ...NOTHING, zone: apex }
  return {
    rcode: NO_ERROR,
    answers: wants(question, 'SRV') ? services.map((mapped) => srv(question.name, found, apex, mapped)) : [],
    zone: apex,
  }
}

function peerAnswers(zone: Zone, question: Question, apex: string, found: NamedPeer): Answer[] {
  const { name } = question
  const { peer, node, local } = found
  if (question.type === 'SRV') return servicesOf(zone, found, []).map((mapped) => srv(name, found, apex, mapped))
  const answers: Answer[] = []
  if (wants(question, 'A')) answers.push({ type: 'A', name, ttl: TTL_S, data: local })
  if (wants(question, 'TXT'))
    answers.push({
      type: 'TXT',
      name,
      ttl: TTL_S,
      data: [
        `peer=${peer}`,
        ...(node === undefined ? [] : [`node=${node}`, `address=${formatAddress({ network: 0, node })}`]),
      ],
    })
  return answers
}

/** `_http._tcp`, `_5432._tcp`, `_tcp`; none: every port mapped at the peer's own address. */
function servicesOf(zone: Zone, { peer, local }: NamedPeer, labels: readonly string[]): readonly MappedRecord[] {
  const protocol = labels.at(-1)?.slice(1)
  if (
    labels.some((label) => !label.startsWith('_')) ||
    (protocol !== undefined && protocol !== 'tcp' && protocol !== 'udp')
  )
    return []
  const service = labels.length === 2 ? labels[0]!.slice(1) : undefined
  return zone
    .mappedOf(peer)
    .filter(
      (mapped) =>
        hostOf(mapped.local) === local &&
        (protocol === undefined || mapped.protocol === protocol) &&
        (service === undefined ||
          service === String(portOf(mapped.remote)) ||
          service === mapped.name ||
          WELL_KNOWN[service] === portOf(mapped.remote)),
    )
}

function srv(name: string, { peer }: NamedPeer, apex: string, { local }: MappedRecord): Answer {
  const label = peer.includes(':')
    ? String(Number.parseInt(peer.slice(peer.indexOf('.') + 1).replace('.', ''), 16))
    : peer
  return {
    type: 'SRV',
    name,
    ttl: TTL_S,
    data: { priority: 0, weight: 0, port: portOf(local), target: `${label}.${apex}` },
  }
}

function reverseAnswers(zone: Zone, question: Question, address: string): Found {
  const peer = zone.peerAt(address)
  const target = peer === undefined ? undefined : zone.dnsNameOf(peer)
  if (target === undefined) return { ...NOTHING, zone: REVERSE_ZONE }
  return {
    rcode: NO_ERROR,
    answers: wants(question, 'PTR') ? [{ type: 'PTR', name: question.name, ttl: TTL_S, data: target }] : [],
    zone: REVERSE_ZONE,
  }
}

function wants({ type }: Question, record: Question['type']): boolean {
  return type === record || (type as string) === 'ANY'
}

function soaOf(zone: string): Answer {
  return {
    type: 'SOA',
    name: zone,
    ttl: TTL_S,
    data: {
      mname: `ns.${zone}`,
      rname: `hostmaster.${zone}`,
      serial: 1,
      refresh: 3_600,
      retry: 600,
      expire: 86_400,
      minimum: TTL_S,
    },
  }
}

/** In seconds. Short, because a peer may be mapped or lose trust at any time, and another query is cheap. */
const TTL_S = 5
/** A size that passes every path without fragmentation (dnsflagday.net, 2020). */
const MAX_UDP_BYTES = 1_232
/** Upper bits of the extended RCODE 16. */
const BADVERS_HIGH = 1
const OUR_EDNS: OptAnswer = {
  type: 'OPT',
  name: '.',
  udpPayloadSize: MAX_UDP_BYTES,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
}
const REVERSE_ZONE = '77.127.in-addr.arpa'
const RECURSION_DESIRED = 0x100
const OPCODE = 0x7800
const NO_ERROR = 0
const FORMAT_ERROR = 1
const SERVER_FAILURE = 2
const NO_SUCH_NAME = 3
const NOT_IMPLEMENTED = 4
const NOTHING: Found = { rcode: NO_SUCH_NAME, answers: [] }
/** Service names of SRV questions that people use (IANA); any port also has its number as its name. */
const WELL_KNOWN: Readonly<Record<string, number>> = {
  ssh: 22,
  domain: 53,
  http: 80,
  https: 443,
  nats: 4_222,
  postgresql: 5_432,
  redis: 6_379,
  grpc: 50_051,
}
