/**
 * Every error a user can meet, in one table: code, exit status, HTTP status, hint.
 * docs/errors.md lists the same codes; a test keeps the two together. A code is never renamed or reused.
 */
export const ERRORS = {
  FAILED: {
    exit: 1,
    http: 500,
    hint: 'Run again with -v and look at the log; if it persists, report it with that log.',
  },
  USAGE: { exit: 2, http: 400, hint: 'Add --help to the command to see what it takes.' },
  CONFIG_INVALID: {
    exit: 2,
    http: 400,
    hint: 'Correct the place named in the message; `pilotgate config check FILE` tests it without starting.',
  },
  IDENTITY_INVALID: {
    exit: 2,
    http: 500,
    hint: 'The file must hold the JSON that pilotgate or a pilot daemon wrote. Restore a backup, or move it away to be a new node.',
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
  PEER_RESET: { exit: 5, http: 502, hint: 'The other side ended the connection; its log says why.' },
  CONNECTION_REFUSED: { exit: 5, http: 502, hint: 'The node answered, but nothing is offered to us on that port.' },
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
    hint: 'UDP does not pass, or the beacon is down. `pilotgate doctor` tells more; allow outgoing UDP and its answers.',
  },
  BAD_RESPONSE: {
    exit: 5,
    http: 502,
    hint: 'What answers there does not speak the HTTP that it was asked in. A mapping carries any protocol.',
  },
  REGISTRY_UNREACHABLE: {
    exit: 5,
    http: 504,
    hint: 'Check the --registry address and that the rendezvous runs. The gateway keeps trying by itself.',
  },
  DAEMON_UNREACHABLE: {
    exit: 5,
    http: 504,
    hint: 'Does the pilot daemon run, and may this user open its socket? `pilotctl info` tells. A running gateway keeps trying by itself.',
  },
  REGISTRY_REFUSED: { exit: 1, http: 502, hint: 'The registry answered with an error; the message holds its text.' },
  PORT_IN_USE: { exit: 6, http: 409, hint: 'Choose another address or port, or stop the program that holds it.' },
  ADDRESS_UNAVAILABLE: {
    exit: 2,
    http: 400,
    hint: 'This machine has no such local address. Use 127.x.y.z, or an address of one of its interfaces with --allow-lan.',
  },
  PORT_FORBIDDEN: {
    exit: 2,
    http: 403,
    hint: 'Ports below 1024 need a privilege here. Choose a local port of 1024 or above, grant CAP_NET_BIND_SERVICE, or lower net.ipv4.ip_unprivileged_port_start.',
  },
  RESTART_NEEDED: {
    exit: 2,
    http: 409,
    hint: 'Put these keys back as they were, or restart the gateway to take them over.',
  },
  CONFLICT: { exit: 6, http: 409, hint: 'The name is taken. Choose another, or remove the one that has it.' },
  TOO_MANY: { exit: 1, http: 429, hint: 'A limit was reached; docs/limits.md says which and why.' },
  DATAGRAM_TOO_LARGE: {
    exit: 1,
    http: 413,
    hint: 'A datagram must fit one packet of the path; send less at once, or use a stream.',
  },
  TICKET_INVALID: {
    exit: 2,
    http: 400,
    hint: 'Copy the whole ticket, from pgt1_ to its last letter. If it is whole, ask for another.',
  },
  TICKET_EXPIRED: { exit: 4, http: 403, hint: 'Ask for another: `pilotgate invite`, with --for 1h for a longer one.' },
  TICKET_USED: {
    exit: 4,
    http: 403,
    hint: 'A ticket is good for one node, once, until it expires. If it was not you who used it, tell the one who gave it: `pilotgate trust list` shows who did.',
  },
  SHUTTING_DOWN: { exit: 1, http: 503, hint: 'The gateway is stopping and takes no new work.' },
  TIMED_OUT: { exit: 124, http: 504, hint: 'Nothing answered in time. Try again, or see `pilotgate status`.' },
} as const satisfies Record<string, { exit: number; http: number; hint: string }>

export type ErrorCode = keyof typeof ERRORS

/** What a user meets. The message names what and where; the hint says what to do; the cause is what lay beneath. */
export class PilotError extends Error {
  override readonly name = 'PilotError'
  readonly code: ErrorCode
  readonly details: Readonly<Record<string, unknown>>
  readonly hint: string

  /** @param hint where the one of the table would not help here. */
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

/** Any thrown thing as a PilotError; what is not one already becomes FAILED with itself as the cause. */
export function asPilotError(error: unknown): PilotError {
  if (error instanceof PilotError) return error
  return new PilotError('FAILED', error instanceof Error ? error.message : String(error), {}, error)
}
