/**
 * The server's side of the protocol, for the gate: `acceptClient` does greeting, TLS and authentication; then commands come
 * one at a time and answers go out as frames (server-channel.ts).
 */
import { createPublicKey, type KeyObject } from 'node:crypto'
import type { Socket } from 'node:net'
import type { SecureContext } from 'node:tls'
import { cachingSha2, encodeAuthMoreData, encodeAuthSwitch } from '../wire/auth-messages.ts'
import { capability, has, mariadbCapability, serverStatus } from '../wire/capabilities.ts'
import { decodeChangeUser } from '../wire/change-user.ts'
import { collation } from '../wire/column-types.ts'
import { writeErr } from '../wire/err.ts'
import { frame } from '../wire/frames.ts'
import { decodeHandshakeResponse, encodeGreeting, withExtended } from '../wire/handshake.ts'
import { writeOk, type Ok } from '../wire/ok.ts'
import { Writer } from '../wire/writer.ts'
import {
  decryptedPassword,
  isServerPlugin,
  makeScramble,
  pluginsOf,
  verifyClear,
  verifyResponse,
  type ServerAuthPlugin,
  type StoredPassword,
} from './auth-server.ts'
import { mysqlErrors } from './errors.ts'
import { ServerChannel, type ClientCommand } from './server-channel.ts'

export type { ClientCommand }

const HANDSHAKE_TIMEOUT_MS = 10_000
const PACKET_BYTES_MAX = 1 << 26

/** What is offered unless told otherwise: neither compression, query attributes nor deprecateEof. */
export const gateCapabilities: number =
  (capability.longPassword |
    capability.foundRows |
    capability.longFlag |
    capability.connectWithDb |
    capability.localFiles |
    capability.ignoreSpace |
    capability.protocol41 |
    capability.interactive |
    capability.transactions |
    capability.reserved |
    capability.secureConnection |
    capability.multiStatements |
    capability.multiResults |
    capability.psMultiResults |
    capability.pluginAuth |
    capability.connectAttrs |
    capability.sessionTrack |
    capability.pluginAuthLenenc) >>>
  0

export type AcceptOptions = {
  serverVersion: string
  threadId: number
  /** Named in the greeting; a client that prefers the other one is asked by an auth switch. */
  plugin: ServerAuthPlugin
  /** Null: access denied. Rejected: the client is cut off. */
  authenticate(user: string, address: string): StoredPassword | null | Promise<StoredPassword | null>
  /** Told of each login, and of each COM_CHANGE_USER. */
  judged?(user: string, address: string, verified: boolean): void
  /** SHA256(SHA256(password)) of an account that has the salted form alone: with it the next login need not show the password. */
  learned?(user: string, stored: StoredPassword, sha256: Buffer): void
  /** For passwords of clients without TLS. Absent: they are refused where theirs must be shown. */
  rsaKey?(): Promise<KeyObject>
  capabilities?: number
  /** MariaDB's: whoever wants it is told more of columns, and must be in every answer. */
  extendedMetadata?: boolean
  secureContext?: SecureContext
  /** Whether this user (any: undefined) may not be without TLS. Users are only told so once they are known. */
  tlsRequired?(user: string | undefined): boolean
  collation?: number
  packetBytesMax?: number
  handshakeTimeoutMs?: number
  random?: (bytes: number) => Buffer
}

export class ServerConnection extends ServerChannel {
  readonly threadId: number
  user = ''
  database = ''
  attributes: Record<string, string> = {}
  capabilities = 0
  /** Agreed upon: column definitions have one part more. */
  extendedMetadata = false
  collation: number = collation.utf8mb4
  readonly #options: AcceptOptions
  #scramble: Buffer

  constructor(socket: Socket, options: AcceptOptions) {
    super(socket)
    this.#options = options
    this.threadId = options.threadId
    this.#scramble = makeScramble(options.random)
  }

  sendOk(ok: Partial<Ok> = {}): void {
    const w = new Writer(64).beginFrame()
    writeOk(w, ok, this.capabilities)
    this.sequence = w.endFrame(this.sequence)
    this.write(w.take())
  }

  sendErr(errno: number, sqlState: string, message: string): void {
    const w = new Writer(64 + message.length).beginFrame()
    writeErr(w, { errno, sqlState, message })
    this.sequence = w.endFrame(this.sequence)
    this.write(w.take())
  }

  /** Greeting to a verified user; the OK (or a refusal of the database) is the caller's. False: refused and ended. */
  async handshake(): Promise<boolean> {
    const options = this.#options
    const timer = setTimeout(
      () =>
        this.destroy(mysqlErrors.connectTimeout({ server: this.address, timeoutMs: options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS })),
      options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
    )
    try {
      const offered = ((options.capabilities ?? gateCapabilities) | (options.secureContext === undefined ? 0 : capability.ssl)) >>> 0
      const extended = options.extendedMetadata === true ? mariadbCapability.extendedMetadata : 0
      this.write(
        frame(
          encodeGreeting({
            serverVersion: options.serverVersion,
            threadId: options.threadId,
            scramble: this.#scramble,
            capabilities: withExtended(offered, extended),
            extendedCapabilities: extended,
            collation: options.collation ?? collation.utf8mb4,
            status: serverStatus.autocommit,
            plugin: options.plugin,
          }),
        ),
      )
      let message = decodeHandshakeResponse(await this.nextPacket(true))
      if (message.kind === 'ssl') {
        if (options.secureContext === undefined) return this.#refuse(1043, '08S01', 'Bad handshake')
        this.startTls(options.secureContext)
        message = decodeHandshakeResponse(await this.nextPacket(false))
      }
      if (message.kind === 'ssl') return this.#refuse(1043, '08S01', 'Bad handshake')
      if (!this.tls && options.tlsRequired?.(undefined) === true) return this.#refuseWithoutTls()
      this.capabilities = (message.capabilities & offered) >>> 0
      this.extendedMetadata = has(message.extendedCapabilities & extended, mariadbCapability.extendedMetadata)
      this.collation = message.collation
      this.user = message.user
      this.database = message.database
      this.attributes = message.attributes
      if (!(await this.#verify(message.plugin, message.authResponse, false))) return false
      this.allowPackets(options.packetBytesMax ?? PACKET_BYTES_MAX)
      return true
    } finally {
      clearTimeout(timer)
    }
  }

  /** COM_CHANGE_USER: as a handshake. On true `user`, `database` and `collation` are the new ones and OK is the caller's. */
  async changeUser(command: ClientCommand): Promise<boolean> {
    const message = decodeChangeUser(command.data.subarray(command.start, command.end), this.capabilities)
    this.user = message.user
    this.database = message.database
    if (message.collation !== 0) this.collation = message.collation
    this.attributes = message.attributes
    return await this.#verify(message.plugin, message.authResponse, true)
  }

  /** `again`: the scramble was used before, so a fresh one is sent whatever the client answered. */
  async #verify(clientPlugin: string, response: Buffer, again: boolean): Promise<boolean> {
    const options = this.#options
    const stored = await options.authenticate(this.user, this.address)
    const plugins = pluginsOf(stored, options.plugin)
    const plugin = isServerPlugin(clientPlugin) && plugins.includes(clientPlugin) ? clientPlugin : (plugins[0] ?? options.plugin)
    if (plugin !== options.plugin || clientPlugin !== plugin || again) {
      if (plugin !== 'mysql_native_password' && !has(this.capabilities, capability.pluginAuth))
        return this.#refuse(
          1251,
          '08004',
          'Client does not support authentication protocol requested by server; consider upgrading MySQL client',
        )
      this.#scramble = makeScramble(options.random)
      this.write(frame(encodeAuthSwitch({ plugin, data: this.#scramble }), this.sequence))
      response = await this.nextPacket(false)
    }
    const mustShow = plugin === 'caching_sha2_password' && stored !== null && stored.sha256 === null && response.length > 1
    const verified = mustShow ? await this.#shown(stored) : verifyResponse(plugin, response, this.#scramble, stored)
    options.judged?.(this.user, this.address, verified)
    if (!verified) {
      const using = response.length > 0 ? 'YES' : 'NO'
      return this.#refuse(1045, '28000', `Access denied for user '${this.user}'@'${this.address}' (using password: ${using})`)
    }
    if (!this.tls && options.tlsRequired?.(this.user) === true) return this.#refuseWithoutTls()
    if (plugin === 'caching_sha2_password' && response.length > 1 && !mustShow) {
      this.write(frame(encodeAuthMoreData(Buffer.from([cachingSha2.fastDone])), this.sequence))
      this.sequence = (this.sequence + 1) & 0xff
    }
    return true
  }

  /** Full authentication of caching_sha2_password: the password itself, under TLS, or encrypted by our RSA key, which the client may ask for. */
  async #shown(stored: StoredPassword): Promise<boolean> {
    this.write(frame(encodeAuthMoreData(Buffer.from([cachingSha2.fullWanted])), this.sequence))
    let answer = await this.nextPacket(false)
    let clear: Buffer | null = answer
    if (!this.tls) {
      const key = await this.#options.rsaKey?.()
      if (key === undefined) return false
      if (answer.length === 1 && answer[0] === cachingSha2.requestPublicKey) {
        const pem = createPublicKey(key).export({ type: 'spki', format: 'pem' })
        this.write(frame(encodeAuthMoreData(Buffer.from(pem)), this.sequence))
        answer = await this.nextPacket(false)
      }
      clear = decryptedPassword(answer, this.#scramble, key)
    }
    const sha256 = clear === null ? null : await verifyClear(clear, stored)
    if (sha256 !== null) this.#options.learned?.(this.user, stored, sha256)
    return sha256 !== null
  }

  #refuseWithoutTls(): false {
    return this.#refuse(3159, 'HY000', 'Connections using insecure transport are prohibited: this account, or the gate, takes TLS only')
  }

  #refuse(errno: number, sqlState: string, message: string): false {
    this.sendErr(errno, sqlState, message)
    this.close()
    return false
  }
}

/**
 * Greets a client that has connected. Resolves with a verified connection, whose OK is still to be sent (`sendOk`, then
 * `ready`), or null when it was refused or left. Never rejects: a broken client is no error of ours.
 */
export async function acceptClient(socket: Socket, options: AcceptOptions): Promise<ServerConnection | null> {
  const connection = new ServerConnection(socket, options)
  try {
    return (await connection.handshake()) ? connection : null
  } catch (error) {
    connection.destroy(error instanceof Error ? error : undefined)
    return null
  }
}

export function clientHas(connection: ServerConnection, flag: number): boolean {
  return has(connection.capabilities, flag)
}
