/**
 * Every error that a user can see, in one table: code, exit status, HTTP status, hint. docs/errors.md lists the same
 * codes; a test compares the two. A code is never renamed or reused.
 */
export const ERRORS = {
  FAILED: {
    exit: 1,
    http: 500,
    hint: 'Run again with -v and look at the log. If it persists, report it with that log.',
  },
  USAGE: { exit: 2, http: 400, hint: 'Add --help to the command to see its usage.' },
  CONFIG_INVALID: {
    exit: 2,
    http: 400,
    hint: 'Correct the place named in the message; `pilotgate config check FILE` tests it without starting.',
  },
  IDENTITY_INVALID: {
    exit: 2,
    http: 500,
    hint: 'The file must hold the JSON that pilotgate or a pilot daemon wrote. Restore a backup, or move the file away to start as a new node.',
  },
  IDENTITY_UNREADABLE: {
    exit: 2,
    http: 500,
    hint: 'Give the user that runs pilotgate permission to read the identity file.',
  },
  IDENTITY_EXPOSED: {
    exit: 2,
    http: 500,
    hint: 'Others on this machine can read the private key. Run `chmod 600` on the identity file.',
  },
  STATE_UNWRITABLE: {
    exit: 1,
    http: 500,
    hint: 'Free space on the disk, or make the state folder writable; the gateway retries every 10 seconds.',
  },
  NOT_RUNNING: { exit: 3, http: 503, hint: 'Start one with `pilotgate up`, or name its socket with --admin.' },
  NOT_TRUSTED: {
    exit: 4,
    http: 403,
    hint: 'Ask for trust with `pilotgate trust request PEER`, and have the other side approve it.',
  },
  KEY_CHANGED: {
    exit: 4,
    http: 502,
    hint: 'Compare the fingerprint with the operator of that peer. If it has a new key, run `pilotgate trust revoke PEER` and `pilotgate trust request PEER`; otherwise another node has taken the name.',
  },
  DENIED: { exit: 4, http: 403, hint: 'The other side refuses us there. Ask its operator to allow this node.' },
  NOT_FOUND: {
    exit: 5,
    http: 404,
    hint: 'Check the spelling. Nodes that do not trust us are invisible to us, as if they did not exist.',
  },
  PEER_UNREACHABLE: {
    exit: 5,
    http: 504,
    hint: 'Is the other gateway running? `pilotgate ping PEER` shows whether a path exists.',
  },
  PEER_RESET: { exit: 5, http: 502, hint: 'The other side closed the connection; its log says why.' },
  CONNECTION_REFUSED: { exit: 5, http: 502, hint: 'The node answered, but offers us nothing on that port.' },
  TARGET_UNREACHABLE: {
    exit: 5,
    http: 502,
    hint: 'The exposed local service does not accept connections. Is it running?',
  },
  RELAY_REFUSED: {
    exit: 5,
    http: 502,
    hint: 'Only the relay works, and `path: direct` refuses it. `pilotgate doctor PEER` shows why there is no direct path; path=any would allow the relay.',
  },
  UDP_BLOCKED: {
    exit: 5,
    http: 504,
    hint: 'UDP is blocked, or the beacon is down. Run `pilotgate doctor`; allow outgoing UDP and its replies.',
  },
  BAD_RESPONSE: {
    exit: 5,
    http: 502,
    hint: 'The service there does not speak the HTTP version of the request. A mapping carries any protocol.',
  },
  REGISTRY_UNREACHABLE: {
    exit: 5,
    http: 504,
    hint: 'Check the --registry address, and that the rendezvous is running. The gateway keeps retrying.',
  },
  REGISTRY_UNTRUSTED: {
    exit: 4,
    http: 502,
    hint: 'Name the registry as its certificate does, give Node its authority with NODE_EXTRA_CA_CERTS, or pin the certificate with --registry-fingerprint.',
  },
  REGISTRY_PIN_MISMATCH: {
    exit: 4,
    http: 502,
    hint: 'Ask the operator of the rendezvous for its fingerprint, not over this connection. Unless the certificate was replaced, someone is in between.',
  },
  REGISTRY_TLS_MISMATCH: {
    exit: 5,
    http: 502,
    hint: 'With TLS: --registry tls://HOST:PORT or --registry-fingerprint. Without: leave both out. Is it the port of a registry at all?',
  },
  DAEMON_UNREACHABLE: {
    exit: 5,
    http: 504,
    hint: 'Is the pilot daemon running, and may this user open its socket? Check with `pilotctl info`. A running gateway keeps retrying.',
  },
  REGISTRY_REFUSED: { exit: 1, http: 502, hint: 'The registry answered with an error; the message quotes it.' },
  PORT_IN_USE: { exit: 6, http: 409, hint: 'Choose another address or port, or stop the program that uses it.' },
  ADDRESS_UNAVAILABLE: {
    exit: 2,
    http: 400,
    hint: 'This machine has no such local address. Use 127.x.y.z, or an address of one of its interfaces with --allow-lan.',
  },
  PORT_FORBIDDEN: {
    exit: 2,
    http: 403,
    hint: 'Ports below 1024 are privileged here. Choose a local port of 1024 or above, grant CAP_NET_BIND_SERVICE, or lower net.ipv4.ip_unprivileged_port_start.',
  },
  RESTART_NEEDED: {
    exit: 2,
    http: 409,
    hint: 'Restore the old values of these keys, or restart the gateway to apply the new ones.',
  },
  CONFLICT: { exit: 6, http: 409, hint: 'The name is taken. Choose another, or remove the one that has it.' },
  TOO_MANY: { exit: 1, http: 429, hint: 'A limit was reached; docs/limits.md lists them with their reasons.' },
  DATAGRAM_TOO_LARGE: {
    exit: 1,
    http: 413,
    hint: 'A datagram must fit into one packet of the path; send smaller ones, or use a stream.',
  },
  TICKET_INVALID: {
    exit: 2,
    http: 400,
    hint: 'Copy the whole ticket, from pgt1_ to its last letter. If it is complete, ask for a new one.',
  },
  TICKET_EXPIRED: {
    exit: 4,
    http: 403,
    hint: 'Ask for a new one: `pilotgate invite`, with --for 1h to make it last longer.',
  },
  TICKET_USED: {
    exit: 4,
    http: 403,
    hint: 'A ticket admits one node, once, until it expires. If you did not use it, tell whoever gave it to you: `pilotgate trust list` there shows who did.',
  },
  SHUTTING_DOWN: { exit: 1, http: 503, hint: 'The gateway is stopping and accepts no new work.' },
  TIMED_OUT: { exit: 124, http: 504, hint: 'There was no answer in time. Try again, or run `pilotgate status`.' },
} as const satisfies Record<string, { exit: number; http: number; hint: string }>

export type ErrorCode = keyof typeof ERRORS

/**
 * An error that users see. The message says what failed and where, the hint what to do; the cause is the underlying
 * error.
 */
export class PilotError extends Error {
  override readonly name = 'PilotError'
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>
  readonly hint: string

  /** @param hint if the one in the table would not help here. */
  constructor(
    code: ErrorCode,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
    cause?: unknown,
    hint: string = ERRORS[code].hint,
  ) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.details = details
    this.hint = hint
  }

  get exitCode(): number {
    return ERRORS[this.code].exit
  }
  get httpStatus(): number {
    return ERRORS[this.code].http
  }
}

/** Any thrown value as a PilotError; anything else becomes FAILED, with the value as its cause. */
export function asPilotError(error: unknown): PilotError {
  if (error instanceof PilotError) return error
  return new PilotError('FAILED', error instanceof Error ? error.message : String(error), {}, error)
}
