/** What the front answers itself: a list of the peers and services that it leads to, to click or for programs. */
import { escapeHtml, webPage } from '../../runtime/web-page.ts'
import { formatAddress } from '../../base/address.ts'
import type { PeerStatus } from '../../runtime/overlay.ts'
import type { TrustedEntry } from '../../wire/trust-file.ts'
import type { MappedRecord } from '../model/records.ts'
import type { NamedMapping } from './hosts.ts'

/** Thrown by a route instead of returning a hop: the request is for the front itself. */
export class OwnPage extends Error {
  html = ''
  json: object = {}
  readonly #contents: Promise<Contents>

  constructor(contents: Promise<Contents>) {
    super('answered by the front itself')
    this.#contents = contents
  }

  /** Call it before the page is answered. */
  async fill(): Promise<this> {
    Object.assign(this, frontPage(await this.#contents))
    return this
  }
}

export interface Contents {
  readonly port: string // of the front
  readonly domain: string
  readonly trusted: readonly Pick<TrustedEntry, 'nodeId' | 'hostname'>[]
  readonly peers: readonly Pick<PeerStatus, 'nodeId' | 'state' | 'path'>[] // those that were needed so far
  readonly mappings: readonly NamedMapping[]
  readonly listeners: readonly Pick<MappedRecord, 'name' | 'local' | 'peer' | 'protocol'>[]
}

/** Whether a Host header means the front, and not a peer: only names that lead to this machine everywhere. */
export function isFrontItself(authority: string | undefined, domain: string): boolean {
  const host = (authority ?? '')
    .replace(/:\d*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .toLowerCase()
  return host === 'localhost' || host === `${domain}.localhost` || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}

function frontPage({ port, domain, trusted, peers, mappings, listeners }: Contents): Pick<OwnPage, 'html' | 'json'> {
  const url = (name: string): string => `http://${name.toLowerCase()}.${domain}.localhost:${port}/`
  const people = trusted.map(({ nodeId, hostname }) => {
    const { state = 'idle', path } = peers.find((peer) => peer.nodeId === nodeId) ?? {}
    const name = hostname ?? String(nodeId)
    const address = formatAddress({ network: 0, node: nodeId })
    return { name, url: url(name), address, state, path: path?.kind ?? null }
  })
  const services = listeners
    .filter(({ protocol }) => protocol === 'tcp')
    .map(({ name, local, peer }) => {
      const byName = HOST_LABEL.test(name) && mappings.some((mapping) => mapping.name === name)
      return { name, url: byName ? url(name) : `http://${local}/`, peer, local }
    })
  return {
    html: webPage({
      title: 'Peers and services',
      main: `${section(
        'Peers',
        people.map(({ name, url: at, address, state, path }) => ({
          name,
          url: at,
          about: `port 80 of ${address}`,
          pill: path === null ? state : `${state}, ${path}`,
          kind: state === 'connected' ? 'good' : state === 'unreachable' ? 'bad' : '',
        })),
        'No peer is trusted yet: <code>pilotgate trust request PEER</code>, and the other side approves.',
      )}${section(
        'Mapped services',
        services.map(({ name, url: at, peer, local }) => ({
          name,
          url: at,
          about: `${peer}, also at ${local}`,
          pill: '',
          kind: '',
        })),
        'No port is mapped: <code>pilotgate map 8080:PEER:80</code>.',
      )}`,
      footer: `<span>pilotgate, the HTTP front</span><span>PEER.${escapeHtml(domain)}.localhost:${port}</span>`,
    }),
    json: { peers: people, services },
  }
}

interface Row {
  readonly name: string
  readonly url: string
  readonly about: string
  readonly pill: string
  readonly kind: string
}

function section(title: string, rows: readonly Row[], empty: string): string {
  const items = rows.map(
    ({ name, url, about, pill, kind }) =>
      `<li><div><a href="${escapeHtml(url)}">${escapeHtml(name)}</a><small>${escapeHtml(about)}</small></div>${pill === '' ? '' : `<span class="pill ${kind}">${escapeHtml(pill)}</span>`}</li>`,
  )
  return `<h2>${title}</h2>${items.length === 0 ? `<p class="card">${empty}</p>` : `<ul class="list">${items.join('')}</ul>`}`
}

/** A mapping that a URL can name; `agent-b:80` cannot be. */
const HOST_LABEL = /^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/
