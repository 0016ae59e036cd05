/**
 * The server's greeting, protocol version 10, and the client's answer.
 *
 * Greeting: 1 version=10 · NUL server version · 4 thread id · 8 scramble part 1 · 1 filler 0 · 2 capabilities (low) ·
 * 1 collation · 2 status · 2 capabilities (high) · 1 scramble length (21) or 0 · 10 reserved: 6 zeros and, from MariaDB
 * (which then leaves capability bit 0 unset), 4 extended capabilities · max(13, length − 8) scramble part 2, NUL-ended ·
 * NUL plugin name.
 *
 * Answer (protocol 41): 4 capabilities · 4 max packet · 1 collation · 19 zeros · 4 MariaDB's extended capabilities or zeros ·
 * NUL user · auth response (lenenc, or 1 byte length, or NUL-ended, by capabilities) · NUL database if connectWithDb ·
 * NUL plugin if pluginAuth · lenenc total of lenenc key, lenenc value … if connectAttrs.
 * An SSL request is the first 32 bytes of it with the ssl flag, sent alone.
 */
import { capability, has } from './capabilities.ts'
import { wireErrors } from './errors.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

export type Greeting = {
  serverVersion: string
  threadId: number
  /** 20 bytes. */
  scramble: Buffer
  capabilities: number
  extendedCapabilities: number
  collation: number
  status: number
  plugin: string
}

export type HandshakeResponse = {
  capabilities: number
  extendedCapabilities: number
  packetBytesMax: number
  collation: number
  user: string
  authResponse: Buffer
  database: string
  plugin: string
  attributes: Record<string, string>
}

export function encodeGreeting(greeting: Greeting): Buffer {
  const w = new Writer(128 + greeting.serverVersion.length)
  w.u8(10).nulText(greeting.serverVersion).u32(greeting.threadId)
  w.bytes(greeting.scramble.subarray(0, 8)).u8(0)
  w.u16(greeting.capabilities & 0xffff)
    .u8(greeting.collation)
    .u16(greeting.status)
    .u16(greeting.capabilities >>> 16)
  w.u8(21).zeros(6).u32(greeting.extendedCapabilities)
  w.bytes(greeting.scramble.subarray(8, 20)).u8(0).nulText(greeting.plugin)
  return w.take()
}

export function decodeGreeting(payload: Buffer): Greeting {
  const r = new Reader(payload)
  const version = r.u8()
  if (version !== 10) throw wireErrors.malformed({ detail: `handshake protocol version ${version}, 10 expected` })
  const serverVersion = r.nulText()
  const threadId = r.u32()
  const part1 = r.bytes(8)
  r.skip(1)
  let capabilities = r.u16()
  const collation = r.u8()
  const status = r.u16()
  capabilities = (capabilities | (r.u16() << 16)) >>> 0
  const scrambleLength = r.u8()
  r.skip(6)
  const reserved = r.u32()
  const extendedCapabilities = has(capabilities, capability.longPassword) ? 0 : reserved
  const part2 = r.bytes(Math.min(r.left, Math.max(13, scrambleLength - 8)))
  const plugin = has(capabilities, capability.pluginAuth) ? r.nulText() : 'mysql_native_password'
  const scramble = Buffer.concat([part1, part2.subarray(0, 12)])
  return { serverVersion, threadId, scramble, capabilities, extendedCapabilities, collation, status, plugin }
}

function writeResponseHead(w: Writer, response: HandshakeResponse, capabilities: number): void {
  w.u32(capabilities)
    .u32(response.packetBytesMax)
    .u8(response.collation & 0xff)
    .zeros(19)
    .u32(response.extendedCapabilities)
}

export function encodeSslRequest(response: HandshakeResponse): Buffer {
  const w = new Writer(32)
  writeResponseHead(w, response, response.capabilities | capability.ssl)
  return w.take()
}

export function encodeHandshakeResponse(response: HandshakeResponse): Buffer {
  const flags = response.capabilities
  const w = new Writer(256)
  writeResponseHead(w, response, flags)
  w.nulText(response.user)
  if (has(flags, capability.pluginAuthLenenc)) w.lenencBytes(response.authResponse)
  else if (has(flags, capability.secureConnection)) w.u8(response.authResponse.length).bytes(response.authResponse)
  else w.bytes(response.authResponse).u8(0)
  if (has(flags, capability.connectWithDb)) w.nulText(response.database)
  if (has(flags, capability.pluginAuth)) w.nulText(response.plugin)
  if (has(flags, capability.connectAttrs)) writeAttributes(w, response.attributes)
  return w.take()
}

/** As MariaDB greets and is answered: bit 0 unset says that its extended capabilities follow. */
export function withExtended(capabilities: number, extended: number): number {
  return extended === 0 ? capabilities : (capabilities & ~capability.longPassword) >>> 0
}

/** An SSL request, or the whole answer. */
export function decodeHandshakeResponse(
  payload: Buffer,
): { kind: 'ssl'; capabilities: number } | ({ kind: 'response' } & HandshakeResponse) {
  const r = new Reader(payload)
  const capabilities = r.u32()
  if (!has(capabilities, capability.protocol41)) throw wireErrors.malformed({ detail: 'the client does not speak protocol 4.1' })
  const packetBytesMax = r.u32()
  const collation = r.u8()
  r.skip(19)
  const reserved = r.u32()
  const extendedCapabilities = has(capabilities, capability.longPassword) ? 0 : reserved
  if (r.left === 0 && has(capabilities, capability.ssl)) return { kind: 'ssl', capabilities }
  const user = r.nulText()
  let authResponse: Buffer
  if (has(capabilities, capability.pluginAuthLenenc)) authResponse = r.lenencBytes()
  else if (has(capabilities, capability.secureConnection)) authResponse = r.bytes(r.u8())
  else authResponse = r.nulBytes()
  const database = has(capabilities, capability.connectWithDb) && r.left > 0 ? r.nulText() : ''
  const plugin = has(capabilities, capability.pluginAuth) && r.left > 0 ? r.nulText() : ''
  const attributes = has(capabilities, capability.connectAttrs) && r.left > 0 ? readAttributes(r) : {}
  return {
    kind: 'response',
    capabilities,
    extendedCapabilities,
    packetBytesMax,
    collation,
    user,
    authResponse,
    database,
    plugin,
    attributes,
  }
}

export function writeAttributes(w: Writer, attributes: Record<string, string>): void {
  const inner = new Writer(128)
  for (const [key, value] of Object.entries(attributes)) inner.lenencText(key).lenencText(value)
  w.lenencBytes(inner.take())
}

export function readAttributes(r: Reader): Record<string, string> {
  const inner = new Reader(r.lenencBytes())
  const entries: [string, string][] = []
  while (inner.left > 0) entries.push([inner.lenencText(), inner.lenencText()])
  // Not by assignment: a client may name an attribute `__proto__`.
  return Object.fromEntries(entries)
}
