/**
 * Packets between the greeting and the final OK.
 *
 * Auth switch request: 1 0xfe · NUL plugin · rest: plugin data (a 20 byte scramble and a NUL). A bare 0xfe asks for the
 * pre-4.1 password, which we refuse. Answer: the plugin's response, bare.
 * Auth more data: 1 0x01 · rest. For caching_sha2_password one byte (3 fast path done, 4 full authentication wanted), or
 * the server's RSA public key in PEM.
 */
import { Reader } from './reader.ts'
import { Writer } from './writer.ts'

export const authMarker = { moreData: 0x01, switch: 0xfe } as const
export const cachingSha2 = { requestPublicKey: 2, fastDone: 3, fullWanted: 4 } as const

export type AuthSwitch = { plugin: string; data: Buffer }

export function encodeAuthSwitch(message: AuthSwitch): Buffer {
  return new Writer(64).u8(authMarker.switch).nulText(message.plugin).bytes(message.data).u8(0).take()
}

/** `data` without its closing NUL. */
export function decodeAuthSwitch(payload: Buffer): AuthSwitch {
  const r = new Reader(payload, 1)
  const plugin = r.left === 0 ? 'mysql_old_password' : r.nulText()
  const data = r.rest()
  return { plugin, data: data.at(-1) === 0 ? data.subarray(0, -1) : data }
}

export function encodeAuthMoreData(data: Uint8Array): Buffer {
  return new Writer(data.length + 1).u8(authMarker.moreData).bytes(data).take()
}

export function decodeAuthMoreData(payload: Buffer): Buffer {
  return payload.subarray(1)
}
