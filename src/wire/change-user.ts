/**
 * COM_CHANGE_USER: 1 0x11 · NUL user · 1 length and auth response · NUL database · 2 collation · NUL plugin if pluginAuth ·
 * attributes if connectAttrs. The server answers with an auth switch, OK or ERR, as in a handshake.
 */
import { capability, has } from './capabilities.ts'
import { com } from './commands.ts'
import { readAttributes, writeAttributes } from './handshake.ts'
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

export type ChangeUser = {
  user: string
  authResponse: Buffer
  database: string
  collation: number
  plugin: string
  attributes: Record<string, string>
}

export function encodeChangeUser(message: ChangeUser, capabilities: number): Buffer {
  const w = new Writer(128).u8(com.changeUser).nulText(message.user)
  w.u8(message.authResponse.length).bytes(message.authResponse).nulText(message.database).u16(message.collation)
  if (has(capabilities, capability.pluginAuth)) w.nulText(message.plugin)
  if (has(capabilities, capability.connectAttrs)) writeAttributes(w, message.attributes)
  return w.take()
}

export function decodeChangeUser(payload: Buffer, capabilities: number): ChangeUser {
  const r = new Reader(payload, 1)
  const user = r.nulText()
  const authResponse = has(capabilities, capability.secureConnection) ? r.bytes(r.u8()) : r.nulBytes()
  const database = r.nulText()
  const collation = r.left >= 2 ? r.u16() : 0
  const plugin = has(capabilities, capability.pluginAuth) && r.left > 0 ? r.nulText() : ''
  const attributes = has(capabilities, capability.connectAttrs) && r.left > 0 ? readAttributes(r) : {}
  return { user, authResponse, database, collation, plugin, attributes }
}
