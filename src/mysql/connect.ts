/** Opens a connection: socket, TLS, handshake, authentication, session settings. Nothing is retried here. */
import net from 'node:net'
import tls from 'node:tls'
import { capability, has, mariadbCapability } from '../wire/capabilities.ts'
import { frame } from '../wire/frames.ts'
import {
  decodeGreeting,
  encodeHandshakeResponse,
  encodeSslRequest,
  withExtended,
  type Greeting,
  type HandshakeResponse,
} from '../wire/handshake.ts'
import { authResponse, isSupportedPlugin, type AuthPlugin } from './auth-client.ts'
import { authenticate, handshakeCollation, PacketPromise } from './auth-exchange.ts'
import { Channel } from './channel.ts'
import { ClientConnection } from './client-connection.ts'
import type { Connection, ConnectOptions, FlavourName } from './connection.ts'
import { ConnectionLost, mysqlErrors, ServerError } from './errors.ts'
import { serverError } from './exchanges.ts'
import { readIdentity } from './server-identity.ts'
import { sharedReads } from './shared-reads.ts'

const CONNECT_TIMEOUT_MS = 10_000

/**
 * @throws SW-MYSQL-004..008, 019; ServerError where the server refuses (1045, 1049, 3118 and 4151 for locked accounts, 1040)
 */
export async function connect(options: ConnectOptions, signal?: AbortSignal): Promise<Connection> {
  const server = serverName(options)
  if (signal?.aborted) throw mysqlErrors.aborted({ server }, signal.reason)
  const socket =
    options.socketPath === undefined
      ? // Keepalive: a peer that vanished without a word (a dead machine, a cut network) must not be waited for for ever.
        net.connect({
          host: options.host ?? '127.0.0.1',
          port: options.port ?? 3306,
          noDelay: true,
          keepAlive: true,
          keepAliveInitialDelay: 15_000,
          ...(options.sharedReads === true ? { onread: sharedReads } : {}),
        })
      : net.connect({ path: options.socketPath, ...(options.sharedReads === true ? { onread: sharedReads } : {}) })
  const channel = new Channel(socket, server)
  const timeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS
  const timer = setTimeout(() => channel.destroy(mysqlErrors.connectTimeout({ server, timeoutMs })), timeoutMs)
  const onAbort = (): void => channel.destroy(mysqlErrors.aborted({ server }, signal?.reason))
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    const connection = await handshake(channel, options, server)
    if (options.identity !== undefined) await requireIdentity(connection, options.identity)
    await connection.setUp()
    return connection
  } catch (error) {
    channel.destroy()
    throw connectError(error, server)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

async function requireIdentity(connection: Connection, wanted: string): Promise<void> {
  const found = await readIdentity(connection)
  if (found !== wanted)
    throw mysqlErrors.anotherServer({ server: connection.server, found: found === '' ? 'one never attached' : found, wanted })
}

export function serverName(options: ConnectOptions): string {
  return options.socketPath ?? `${options.host ?? '127.0.0.1'}:${options.port ?? 3306}`
}

/** A connection that broke while connecting: its cause is what matters, and nothing was done. */
function connectError(error: unknown, server: string): unknown {
  if (!(error instanceof ConnectionLost)) {
    return error instanceof Error && error.name === 'Error' ? mysqlErrors.connectFailed({ server, reason: error.message }, error) : error
  }
  const cause = error.cause
  if (cause instanceof Error && cause.name === 'SwError') return cause
  return mysqlErrors.connectFailed({ server, reason: reasonOf(cause) }, error)
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return 'the connection broke'
  // Several addresses were tried: the message of an AggregateError is empty.
  const code = (cause as NodeJS.ErrnoException).code
  return cause.message === '' && code !== undefined ? code : cause.message
}

async function handshake(channel: Channel, options: ConnectOptions, server: string): Promise<ClientConnection> {
  const packets = new PacketPromise()
  channel.expect(packets)
  const first = await packets.next()
  if (first.payload[0] === 0xff) throw serverError({ server }, first.payload, 0, first.payload.length)
  const greeting = decodeGreeting(first.payload)
  const flavour: FlavourName = /mariadb/i.test(greeting.serverVersion) ? 'mariadb' : 'mysql'
  const wanted =
    (options.extendedMetadata === true ? mariadbCapability.extendedMetadata : 0) |
    (options.bulkOperations === true ? mariadbCapability.stmtBulkOperations : 0)
  const extended = greeting.extendedCapabilities & wanted
  const agreed = wantedCapabilities(options) & greeting.capabilities
  const plugin: AuthPlugin = isSupportedPlugin(greeting.plugin) ? greeting.plugin : 'mysql_native_password'
  const password = options.password ?? ''
  const response: HandshakeResponse = {
    capabilities: withExtended(agreed, extended),
    extendedCapabilities: extended,
    packetBytesMax: 0x40000000,
    collation: handshakeCollation(options, flavour),
    user: options.user,
    authResponse: Buffer.alloc(0),
    database: options.database ?? '',
    plugin,
    attributes: { _client_name: 'shardwright', ...options.attributes },
  }
  let sequence = first.nextSequence
  const secure = await startTls(channel, options, server, greeting, response, sequence)
  if (secure) {
    response.capabilities = (response.capabilities | capability.ssl) >>> 0
    sequence++
  }
  const clearIsSafe = secure || options.socketPath !== undefined
  response.authResponse = authResponse(plugin, password, greeting.scramble, clearIsSafe)
  channel.write(frame(encodeHandshakeResponse(response), sequence))
  await authenticate(channel, packets, {
    server,
    user: options.user,
    password,
    plugin,
    scramble: greeting.scramble,
    clearIsSafe,
    allowPublicKey: options.allowPublicKeyRetrieval ?? true,
  })
  return new ClientConnection(channel, options, greeting, flavour, response, secure)
}

function wantedCapabilities(options: ConnectOptions): number {
  let flags =
    capability.longPassword |
    capability.longFlag |
    capability.localFiles |
    capability.protocol41 |
    capability.transactions |
    capability.secureConnection |
    capability.multiResults |
    capability.psMultiResults |
    capability.pluginAuth |
    capability.connectAttrs |
    capability.pluginAuthLenenc
  if (options.database !== undefined) flags |= capability.connectWithDb
  if (options.foundRows === true) flags |= capability.foundRows
  if (options.multiStatements === true) flags |= capability.multiStatements
  if (options.deprecateEof !== false) flags |= capability.deprecateEof
  if (options.sessionTrack === true) flags |= capability.sessionTrack
  // MariaDB leaves bit 0 of its greeting unset; setting it in the answer says that we agree to no extended capability.
  return flags >>> 0
}

async function startTls(
  channel: Channel,
  options: ConnectOptions,
  server: string,
  greeting: Greeting,
  response: HandshakeResponse,
  sequence: number,
): Promise<boolean> {
  const mode = options.tls ?? { mode: 'off' as const }
  if (mode.mode === 'off') return false
  if (!has(greeting.capabilities, capability.ssl)) {
    if (mode.mode === 'required') throw mysqlErrors.noTls({ server })
    return false
  }
  channel.write(frame(encodeSslRequest(response), sequence))
  await new Promise<void>((resolve, reject) => {
    channel.onClose((error) => reject(error ?? new Error('closed')))
    channel.swapSocket((plain) => {
      const host = options.host ?? '127.0.0.1'
      const secure = tls.connect({
        rejectUnauthorized: mode.mode === 'required',
        ...(net.isIP(host) === 0 ? { servername: host } : {}),
        ...mode.options,
        socket: plain,
      })
      secure.once('secureConnect', resolve)
      return secure
    })
  })
  return true
}

/** True for errors of `connect` that say the account is locked: the fence at connect. */
export function isAccountLocked(error: unknown): boolean {
  return error instanceof ServerError && error.kind === 'accountLocked'
}
